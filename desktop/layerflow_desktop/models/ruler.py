"""Where frames lie along a timeline, and which of them are numbered."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

MIN_SPAN = 4.0  # frames that are seen at least
_MIN_TICK_PX = 6.0
_STEPS = (1, 2, 5)


@dataclass(frozen=True)
class Ruler:
    """So many frames over so many pixels. A frame is a cell: it begins at its number and ends at the next."""

    start: float  # number at the left edge
    span: float  # frames from edge to edge
    width: float  # pixels

    @classmethod
    def over(cls, first: int, last: int, width: float) -> Ruler:
        """All frames from first to last, both included."""
        return cls(float(first), float(max(last - first + 1, MIN_SPAN)), max(width, 1.0))

    @property
    def px_per_frame(self) -> float:
        """The width of a cell."""
        return self.width / self.span

    def x_of(self, number: float) -> float:
        """Where a frame begins, in pixels from the left edge."""
        return (number - self.start) * self.px_per_frame

    def number_at(self, x: float) -> int:
        """The number whose cell is there."""
        return math.floor(self.start + x / self.px_per_frame + 1e-9)

    def zoomed(self, factor: float, x: float, whole: Ruler) -> Ruler:
        """Frames `factor` times as wide, with what is at `x` staying there; never beyond the `whole`."""
        span = min(max(self.span / factor, MIN_SPAN), whole.span)
        at = self.start + x / self.px_per_frame
        return replace(self, start=at - x / self.width * span, span=span).within(whole)

    def panned(self, px: float, whole: Ruler) -> Ruler:
        """Everything so many pixels to the left."""
        return replace(self, start=self.start + px / self.px_per_frame).within(whole)

    def showing(self, number: int, whole: Ruler) -> Ruler:
        """The same where that frame is seen; else a page that begins a little before it."""
        if self.start <= number and number + 1 <= self.start + self.span + 1e-6:
            return self
        return replace(self, start=number - self.span * 0.1).within(whole)

    def within(self, whole: Ruler) -> Ruler:
        """The same, moved so that it stays inside the whole."""
        latest = whole.start + whole.span - self.span
        return replace(self, start=min(max(self.start, whole.start), max(latest, whole.start)))

    def label_step(self, label_px: float) -> int:
        """Frames from one numbered tick to the next, so that labels of that width do not touch."""
        return _round_step(label_px / self.px_per_frame)

    def tick_step(self, label_px: float) -> int:
        """Frames from tick to tick, a part of the step between labels."""
        numbered = self.label_step(label_px)
        smaller = sorted({numbered // part for part in (10, 5, 2, 1) if numbered % part == 0})
        return next(step for step in smaller if step * self.px_per_frame >= _MIN_TICK_PX or step == numbered)

    def multiples(self, step: int) -> range:
        """The numbers in sight that are multiples of a step."""
        first = math.ceil(self.start / step) * step
        return range(first, math.ceil(self.start + self.span), step)


def runs(numbers: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Numbers as runs of first and last, both included: few rectangles to draw in place of many."""
    found: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return tuple(found)


def _round_step(least: float) -> int:
    """The smallest of 1, 2, 5, 10, 20, 50 and so on that is not less."""
    decade = 1
    while True:
        for step in _STEPS:
            if step * decade >= least:
                return step * decade
        decade *= 10
