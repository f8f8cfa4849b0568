"""One shot's events out of those of its orders, which are carried out side by side and some of them twice."""

from __future__ import annotations

from collections.abc import Iterable

from layerflow.shot import Shot
from layerflow.wire import Event


class Tally:
    """Counts the steps of all orders, and the frames up to the first that is not written yet."""

    def __init__(self, shot: Shot, made: Iterable[int]) -> None:
        """Of the windows that are `made`, the frames are there already."""
        self._shot = shot
        self._windows = [window for window in shot.windows if window.new]
        self._written = set(made)
        self._front = 0  # windows whose frames, and those of all before them, are there
        self._steps: dict[int, int] = {}  # by window
        self._each = shot.sampler.num_steps * shot.num_passes
        self._advance()

    def event(self, windows: range, event: Event) -> None:
        """Takes an event of an order for those windows, and says what it comes to."""
        if event.kind == "step":
            for place, window in enumerate(windows):
                self._count(window, min(max(event.done - place * self._each, 0), self._each))
            total = self._each * len(self._windows)
            self._shot.say(Event("step", done=sum(self._steps.values()), total=total))
        elif event.kind == "frame":
            last = self._shot.frames[event.done - 1]
            self._written.add(next(window.index for window in self._windows if last in window.new))
            if self._advance():
                self._tell_frames()
        elif event.kind == "warning":
            self._shot.say(event)

    def sampled_all(self, windows: Iterable[int]) -> None:
        """Counts windows as sampled, whoever did it."""
        for window in windows:
            self._count(window, self._each)

    def _count(self, window: int, steps: int) -> None:
        self._steps[window] = max(self._steps.get(window, 0), steps)

    def _advance(self) -> bool:
        before = self._front
        while self._front < len(self._windows) and self._windows[self._front].index in self._written:
            self._front += 1
        return self._front > before

    def _tell_frames(self) -> None:
        window = self._windows[self._front - 1]
        path = self._shot.delivery.pattern.path(window.new[-1])
        done = self._shot.frames.index(window.new[-1]) + 1
        self._shot.say(Event("frame", str(path), done=done, total=len(self._shot.frames)))
