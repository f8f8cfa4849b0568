"""Pictures in memory, read ahead of the playhead and never more than a stated number of bytes."""

from __future__ import annotations

from collections.abc import Callable

from layerflow_desktop.models.picture import Clip, Picture

Decode = Callable[[Clip, int], Picture]


def default_limit_bytes() -> int:
    """A quarter of this machine's memory, from 1 to 16 GiB."""
    raise NotImplementedError


class FrameCache:
    """Pictures of some clips within one limit, read by threads of its own. Call it from any thread.

    `on_ready(clip, frame)` is called from those threads, when a picture or the error of one is there.
    """

    def __init__(
        self,
        limit_bytes: int,
        num_threads: int = 2,
        decode: Decode = lambda clip, frame: clip.read(frame),
        on_ready: Callable[[Clip, int], None] = lambda clip, frame: None,
    ) -> None:
        self.on_ready = on_ready

    def get(self, clip: Clip, frame: int) -> Picture | None:
        """The picture, at once; None where it is not there yet."""
        raise NotImplementedError

    def want(self, clip: Clip, frame: int, frames_ahead: int = 0) -> None:
        """Puts the playhead of `clip` at `frame`, and has so many frames after it read (before it, where negative)."""
        raise NotImplementedError

    def cached_frames(self, clip: Clip) -> set[int]:
        """The frames of `clip` that are there."""
        raise NotImplementedError

    def error(self, clip: Clip, frame: int) -> str:
        """Why that frame cannot be read; empty where it can, or was not tried."""
        raise NotImplementedError

    @property
    def num_bytes(self) -> int:
        """The memory that all pictures take."""
        raise NotImplementedError

    @property
    def limit_bytes(self) -> int:
        """The memory they may take."""
        raise NotImplementedError

    def set_limit(self, limit_bytes: int) -> None:
        """Holds no more than that from now on."""
        raise NotImplementedError

    def drop(self, clip: Clip) -> None:
        """Forgets a clip, and what its frames could not be read for."""
        raise NotImplementedError

    def close(self) -> None:
        """Ends the threads, once they have read what they are at; nothing is told after it."""
        raise NotImplementedError
