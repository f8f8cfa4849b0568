"""Progress on stderr: bars with the time left in a terminal, one line per stage in a log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from layerflow.wire import Event

_COUNTED = {"step": "Sampling", "frame": "Writing frames"}
_SPEED_WINDOW_S = 1800.0  # one step of a large model can take minutes, so the speed is taken over many of them


@contextmanager
def progress(console: Console | None = None) -> Iterator[Callable[[Event], None]]:
    """A function that shows each event on `console` (default: stderr)."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield lambda event: _log(console, event)
        return
    with _bars(console) as bars:
        yield _Bars(bars).show


def _log(console: Console, event: Event) -> None:
    if event.message:
        prefix = "warning: " if event.kind == "warning" else ""
        console.print(f"{prefix}{event.message}", markup=False, highlight=False, soft_wrap=True)


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        speed_estimate_period=_SPEED_WINDOW_S,
    )


class _Bars:
    """One bar per kind of counted work, and one for the stage at hand."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def show(self, event: Event) -> None:
        if event.kind == "warning":
            self._bars.console.print(f"warning: {event.message}", markup=False, highlight=False)
        elif event.kind == "stage":
            self._bars.update(self._task("stage", None), description=event.message)
        else:
            self._bars.update(self._task(event.kind, event.total), completed=event.done, total=event.total)

    def _task(self, kind: str, total: int | None) -> TaskID:
        if kind not in self._tasks:
            self._tasks[kind] = self._bars.add_task(_COUNTED.get(kind, ""), total=total)
        return self._tasks[kind]
