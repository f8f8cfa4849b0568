"""How long the stage that a job is at will still take, as fast as it went so far."""

from __future__ import annotations

from typing import Optional

from layerflow.wire.jobs import JobEvent, Progress

_ENOUGH_STEPS, _ENOUGH_S = 2, 2.0  # before a pace is known


class Pace:
    """The pace of one job, from its events."""

    def __init__(self) -> None:
        self._start: Optional[Progress] = None  # the first that was heard of the stage
        self._last: Optional[Progress] = None
        self._began_at = self._last_at = 0.0

    def note(self, event: JobEvent) -> None:
        """Takes an event of the job."""
        if event.kind == "state":
            self._start = self._last = None
        elif event.kind == "progress":
            self._note(Progress.from_dict(event.data), event.at)

    def _note(self, progress: Progress, at: float) -> None:
        before = self._last
        same_stage = before is not None and (before.stage, before.total) == (progress.stage, progress.total)
        if before is None or not same_stage or progress.done < before.done:
            self._start, self._began_at = progress, at
        self._last, self._last_at = progress, at

    def left_s(self) -> Optional[float]:
        """Seconds until the stage at hand is through; None while that is not known yet."""
        if self._start is None or self._last is None:
            return None
        done, took_s = self._last.done - self._start.done, self._last_at - self._began_at
        if done < _ENOUGH_STEPS or took_s < _ENOUGH_S:
            return None
        return (self._last.total - self._last.done) * took_s / done
