"""Pictures in memory, read ahead of the playhead and never more than a stated number of bytes."""

from __future__ import annotations

import bisect
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from layerflow_desktop.models.picture import Clip, ClipError, Picture

GIB = 1 << 30
MAX_AHEAD = 10_000

Decode = Callable[[Clip, int], Picture]
_Key = tuple[Clip, int]


def default_limit_bytes() -> int:
    """A quarter of this machine's memory, from 1 to 16 GiB."""
    return int(min(max(psutil.virtual_memory().total // 4, GIB), 16 * GIB))


@dataclass(frozen=True, eq=False)
class _Playhead:
    """Where a clip is looked at."""

    clip: Clip  # as it was asked for last: frames may have come since
    wanted: tuple[int, ...]  # the frame at hand, then those to come


@dataclass(eq=False)
class _Reading:
    """A picture that is being read."""

    key: _Key
    clip: Clip
    num_bytes: int  # kept free for it
    is_wanted: bool = True


class FrameCache:
    """Pictures of some clips within one limit, read by threads of its own. Call it from any thread.

    `on_ready(clip, frame)` is called from those threads, when a picture or the error of one is there. Clips that are
    equal share their pictures, so that those of a clip stay when it is opened again.
    """

    def __init__(
        self,
        limit_bytes: int,
        num_threads: int = 2,
        decode: Decode = lambda clip, frame: clip.read(frame),
        on_ready: Callable[[Clip, int], None] = lambda clip, frame: None,
    ) -> None:
        self.on_ready = on_ready
        self._decode = decode
        self._limit = limit_bytes
        self._changed = threading.Condition()
        self._pictures: OrderedDict[_Key, Picture] = OrderedDict()  # the one used last is at the end
        self._num_bytes = 0
        self._errors: dict[_Key, str] = {}
        self._playheads: OrderedDict[Clip, _Playhead] = OrderedDict()
        self._readings: dict[_Key, _Reading] = {}
        self._sizes: dict[Clip, int] = {}  # of the largest picture that was seen of a clip
        self._is_closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"frames-{number}", daemon=True) for number in range(num_threads)
        ]
        for thread in self._threads:
            thread.start()

    def get(self, clip: Clip, frame: int) -> Picture | None:
        """The picture, at once; None where it is not there yet."""
        with self._changed:
            picture = self._pictures.get((clip, frame))
            if picture is not None:
                self._pictures.move_to_end((clip, frame))
            return picture

    def want(self, clip: Clip, frame: int, frames_ahead: int = 0, within: tuple[int, int] | None = None) -> None:
        """Puts the playhead of `clip` at `frame`, and has so many frames after it read (before it, where negative).

        Goes round from the last frame to the first, or so between the two frames of `within`.
        """
        wanted = _order(_inside(clip.frames, within), clip.frames, frame, frames_ahead)
        with self._changed:
            before = self._playheads.pop(clip, None)
            if before is not None and before.clip is not clip:  # opened again: what could not be read may be whole now
                self._forget_errors(lambda key, text: key[0] == clip)
            self._playheads[clip] = _Playhead(clip, wanted)
            self._changed.notify_all()

    def release(self, clip: Clip) -> None:
        """Reads no more of a clip that is not looked at; its pictures stay until others need their place."""
        with self._changed:
            self._playheads.pop(clip, None)
            self._forget_errors(lambda key, text: text == _TOO_LARGE)
            self._changed.notify_all()

    def cached_frames(self, clip: Clip) -> set[int]:
        """The frames of `clip` that are there."""
        with self._changed:
            return {frame for owner, frame in self._pictures if owner == clip}

    def error(self, clip: Clip, frame: int) -> str:
        """Why that frame cannot be read; empty where it can, or was not tried."""
        with self._changed:
            return self._errors.get((clip, frame), "")

    @property
    def num_bytes(self) -> int:
        """The memory that all pictures take."""
        return self._num_bytes

    @property
    def limit_bytes(self) -> int:
        """The memory they may take."""
        return self._limit

    def set_limit(self, limit_bytes: int) -> None:
        """Holds no more than that from now on."""
        with self._changed:
            self._limit = limit_bytes
            self._forget_errors(lambda key, text: text == _TOO_LARGE)
            self._make_room(0, worse_than=-1)
            self._changed.notify_all()

    def drop(self, clip: Clip) -> None:
        """Forgets a clip, and why its frames could not be read."""
        with self._changed:
            self._playheads.pop(clip, None)
            self._sizes.pop(clip, None)
            for key in [key for key in self._pictures if key[0] == clip]:
                self._remove(key)
            self._forget_errors(lambda key, text: key[0] == clip or text == _TOO_LARGE)
            for reading in self._readings.values():
                reading.is_wanted = reading.is_wanted and reading.key[0] != clip
            self._changed.notify_all()

    def close(self, wait: bool = False) -> None:
        """Ends the threads, once they have read what they are at; nothing is told after it. Forgets all pictures."""
        with self._changed:
            self._is_closed = True
            self._pictures.clear()
            self._num_bytes = 0
            self._changed.notify_all()
        if wait:
            for thread in self._threads:
                thread.join()

    def _work(self) -> None:
        while (reading := self._next()) is not None:
            picture, error = None, ""
            try:
                picture = self._decode(reading.clip, reading.key[1])
            except (ClipError, OSError, ValueError) as problem:
                error = str(problem)
            except MemoryError:
                error = (
                    f"there is no memory for frame {reading.key[1]}; close other programs or lower the cache's limit"
                )
            finally:
                is_told = self._take_in(reading, picture, error)
            del picture
            if is_told:
                self.on_ready(reading.clip, reading.key[1])

    def _next(self) -> _Reading | None:
        """What to read now, waited for; None once the cache is closed."""
        with self._changed:
            while not self._is_closed:
                reading = self._choose()
                if reading is not None:
                    self._readings[reading.key] = reading
                    return reading
                self._changed.wait()
            return None

    def _choose(self) -> _Reading | None:
        """The most urgent picture that is missing, if there can be room for it."""
        missing = [found for head in reversed(self._playheads.values()) if (found := self._missing(head)) is not None]
        if not missing:
            return None
        rank, clip, frame = min(missing, key=lambda found: found[0])
        num_bytes = self._sizes.get(clip) or _guess(clip)
        if not self._make_room(num_bytes, worse_than=rank) and not (rank == 0 and not self._readings):
            return None
        return _Reading((clip, frame), clip, num_bytes)

    def _missing(self, head: _Playhead) -> tuple[int, Clip, int] | None:
        """How far ahead the first picture is that a clip lacks, and which; None where it lacks none."""
        clip = head.clip
        for rank, frame in enumerate(head.wanted):  # mostly a short way: it is asked for each picture and each move
            if not self._is_known((clip, frame)):
                return rank, clip, frame
        return None

    def _is_known(self, key: _Key) -> bool:
        return key in self._pictures or key in self._readings or key in self._errors

    def _take_in(self, reading: _Reading, picture: Picture | None, error: str) -> bool:
        """Keeps what was read; False where nobody is to be told."""
        with self._changed:
            self._readings.pop(reading.key, None)
            self._changed.notify_all()
            if self._is_closed or not reading.is_wanted or (picture is None and not error):
                return False
            if picture is None:
                self._errors[reading.key] = error
                return True
            return self._keep(reading, picture)

    def _keep(self, reading: _Reading, picture: Picture) -> bool:
        clip, frame = reading.key
        self._sizes[clip] = max(picture.num_bytes, self._sizes.get(clip, 0))
        rank = self._ranks().get(reading.key, _FAR)
        if not self._make_room(picture.num_bytes, worse_than=rank):
            if rank == 0 or picture.num_bytes > self._limit:  # else it was larger than thought, and others come first
                self._errors[reading.key] = _TOO_LARGE
            return rank == 0
        self._pictures[clip, frame] = picture
        self._num_bytes += picture.num_bytes
        return True

    def _make_room(self, num_bytes: int, worse_than: int) -> bool:
        """Whether so much is free, once pictures that are needed later than rank `worse_than` have gone.

        Those nobody waits for go first, the one used longest ago before others; then the farthest ahead.
        """
        reserved = sum(reading.num_bytes for reading in self._readings.values())
        room = self._limit - num_bytes - reserved
        if self._num_bytes <= room:
            return True
        ranks = self._ranks()
        idle = [key for key in self._pictures if key not in ranks]
        ahead = sorted((key for key in self._pictures if ranks.get(key, -1) > worse_than), key=lambda key: -ranks[key])
        going, freed = [], 0
        for key in (*idle, *ahead):
            if self._num_bytes - freed <= room:
                break
            going.append(key)
            freed += self._pictures[key].num_bytes
        if self._num_bytes - freed > room and worse_than >= 0:
            return False  # nothing goes for what would not fit all the same
        for key in going:
            self._remove(key)
        return self._num_bytes <= room

    def _ranks(self) -> dict[_Key, int]:
        """How far ahead of a playhead each wanted frame is."""
        return {(head.clip, frame): rank for head in self._playheads.values() for rank, frame in enumerate(head.wanted)}

    def _forget_errors(self, is_over: Callable[[_Key, str], bool]) -> None:
        self._errors = {key: text for key, text in self._errors.items() if not is_over(key, text)}

    def _remove(self, key: _Key) -> None:
        self._num_bytes -= self._pictures.pop(key).num_bytes


_FAR = 1 << 30
_TOO_LARGE = "the frame does not fit into the memory for frames; raise its limit in the settings"


def _guess(clip: Clip) -> int:
    return clip.width * clip.height * 8 * max(1, len(clip.layers))  # of half RGBA


def _inside(frames: tuple[int, ...], within: tuple[int, int] | None) -> tuple[int, ...]:
    return frames if within is None else tuple(frame for frame in frames if within[0] <= frame <= within[1])


def _order(turn: tuple[int, ...], frames: tuple[int, ...], frame: int, ahead: int) -> tuple[int, ...]:
    """`frame`, then those that come after it in `turn`, which goes round; without any that is not there."""
    start = [frame] if frame in frames else []
    num_ahead = min(abs(ahead), len(turn), MAX_AHEAD)
    if ahead >= 0:
        first = bisect.bisect_right(turn, frame)
        following = [turn[(first + number) % len(turn)] for number in range(num_ahead)]
    else:
        last = bisect.bisect_left(turn, frame) - 1
        following = [turn[(last - number) % len(turn)] for number in range(num_ahead)]
    return tuple(dict.fromkeys((*start, *following)))
