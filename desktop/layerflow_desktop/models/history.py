"""Undo and redo: documents as they were."""

from __future__ import annotations

from dataclasses import dataclass

from layerflow_desktop.models.document import Document

MAX_STEPS = 500


@dataclass(frozen=True)
class _Step:
    name: str  # what was done, as a menu says it: "Hide foreground"
    merge: str
    before: Document


class History:
    """The steps that led to a document, and those that were taken back."""

    def __init__(self) -> None:
        self._done: list[_Step] = []
        self._undone: list[_Step] = []

    def note(self, name: str, before: Document, merge: str = "") -> None:
        """Takes in a step. Steps in a row with the same `merge`, such as those of one drag, are undone as one."""
        self._undone.clear()
        if merge and self._done and self._done[-1].merge == merge:
            return
        self._done.append(_Step(name, merge, before))
        del self._done[:-MAX_STEPS]

    def close_step(self) -> None:
        """Lets nothing more merge into the last step: the drag is over."""
        if self._done:
            last = self._done[-1]
            self._done[-1] = _Step(last.name, "", last.before)

    @property
    def undo_name(self) -> str:
        """What undo would take back; empty where there is nothing."""
        return self._done[-1].name if self._done else ""

    @property
    def redo_name(self) -> str:
        """What redo would do again; empty where there is nothing."""
        return self._undone[-1].name if self._undone else ""

    def undo(self, now: Document) -> Document | None:
        """The document before the last step, of `now`; None where there is none."""
        return _step_back(self._done, self._undone, now)

    def redo(self, now: Document) -> Document | None:
        """The document after the step that was taken back last; None where there is none."""
        return _step_back(self._undone, self._done, now)

    def clear(self) -> None:
        """Forgets all: another project is open."""
        self._done.clear()
        self._undone.clear()


def _step_back(source: list[_Step], target: list[_Step], now: Document) -> Document | None:
    if not source:
        return None
    step = source.pop()
    target.append(_Step(step.name, "", now))
    return step.before
