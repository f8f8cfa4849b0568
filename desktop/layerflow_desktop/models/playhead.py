"""Which frame is due: arithmetic of frame numbers, time and rates, without a clock of its own.

Time passes over every number from the first frame to the last. Where a number has no frame, the one before stays on,
so that a clip with gaps takes as long as the shot.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from layerflow_desktop.models.document import Loop

Key = Literal["j", "k", "l"]

MAX_SPEED = 8
_NTSC = (24, 30, 48, 60, 96, 120, 240)  # rates that video runs at a thousandth below
_HAIR = Fraction(1, 1_000_000)  # of a frame: what floating-point clocks lose


def exact_rate(fps: float) -> Fraction:
    """The rate that a number such as 23.976 stands for: 24000/1001."""
    if abs(fps - round(fps)) < 1e-6:
        return Fraction(round(fps))
    for whole in _NTSC:
        if abs(fps - whole * 1000 / 1001) < 0.005 * whole / 24:
            return Fraction(whole * 1000, 1001)
    return Fraction(fps).limit_denominator(1001)


def nearest(frames: tuple[int, ...], frame: int) -> int:
    """The frame there is that is nearest to this number, the earlier of two; the number itself where none is."""
    if not frames:
        return frame
    at = bisect_left(frames, frame)
    return min(frames[max(at - 1, 0) : at + 1], key=lambda each: abs(each - frame))


def held(frames: tuple[int, ...], number: int) -> int:
    """The frame that is on at this number: itself, or the last one before it."""
    return frames[max(bisect_right(frames, number) - 1, 0)]


def stepped(frames: tuple[int, ...], frame: int, steps: int) -> int:
    """The frame so many frames on, or back; from the last on to the first, and the other way round."""
    if not frames:
        return frame
    at = bisect_left(frames, frame)
    is_between = at == len(frames) or frames[at] != frame
    return frames[(at + steps - (is_between and steps > 0)) % len(frames)]


def marked(frames: tuple[int, ...], mark_in: int | None, mark_out: int | None) -> tuple[int, ...]:
    """The frames between in and out, both included; all of them where none is between."""
    first = 0 if mark_in is None else bisect_left(frames, mark_in)
    last = len(frames) if mark_out is None else bisect_right(frames, mark_out)
    return frames[first:last] or frames


def shuttled(speed: int, key: Key) -> int:
    """The speed after J (backwards, and faster each time), K (stop) or L (forwards, and faster each time)."""
    if key == "k":
        return 0
    way = 1 if key == "l" else -1
    return way * min(abs(speed) * 2, MAX_SPEED) if speed * way > 0 else way


@dataclass(frozen=True)
class Head:
    """Where the playhead is among the numbers of a range, and which way it goes."""

    first: int
    last: int  # inclusive
    number: int
    way: int = 1  # or -1
    has_ended: bool = False  # of "once": it went over the end

    def after(self, steps: int, loop: Loop) -> Head:
        """The head so many numbers further on its way."""
        length = self.last - self.first + 1
        place = min(max(self.number, self.first), self.last) - self.first
        if loop == "once":
            return self._clamped(place + self.way * steps, length)
        if loop == "loop" or length == 1:
            return self._at((place + self.way * steps) % length, self.way)
        return self._bounced(place, steps, length)

    def _clamped(self, place: int, length: int) -> Head:
        inside = min(max(place, 0), length - 1)
        return replace(self._at(inside, self.way), has_ended=inside != place)

    def _bounced(self, place: int, steps: int, length: int) -> Head:
        period = 2 * (length - 1)
        turn = ((place if self.way > 0 else period - place) + steps) % period
        return self._at(turn, 1) if turn < length - 1 else self._at(period - turn, -1)

    def _at(self, place: int, way: int) -> Head:
        return Head(self.first, self.last, self.first + place, way)


@dataclass(frozen=True)
class Anchor:
    """When a number came on; the others follow from it, so that rounding never adds up."""

    at_s: float
    rate: Fraction  # numbers per second, at the speed that is played

    def steps(self, now_s: float) -> int:
        """How many numbers further it is now."""
        return max(0, int(Fraction(now_s - self.at_s) * self.rate + _HAIR))

    def on(self, steps: int) -> Anchor:
        """The anchor at the number so many further."""
        return Anchor(self.at_s + float(steps / self.rate), self.rate)
