"""Progress on stderr: bars with the time left in a terminal, one line per stage in a log."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from layerflow.wire import Event

_IN_BYTES = ("download", "upload")
_COUNTED = {"step": "Sampling", "frame": "Writing frames", "download": "Downloading", "upload": "Uploading"}
_SPEED_WINDOW_S = 1800.0  # one step of a large model can take minutes, so the speed is taken over many of them


@contextmanager
def progress(console: Console | None = None, *, frames: str = "Writing frames") -> Iterator[Callable[[Event], None]]:
    """A function that shows each event on `console` (default: stderr); `frames` names what "frame" counts."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield lambda event: _log(console, event)
        return
    with _bars(console) as bars:
        yield _Bars(bars, _COUNTED | {"frame": frames}).show


def _log(console: Console, event: Event) -> None:
    if event.message:
        prefix = "warning: " if event.kind == "warning" else ""
        console.print(f"{prefix}{event.message}", markup=False, highlight=False, soft_wrap=True)


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        _Amount(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        speed_estimate_period=_SPEED_WINDOW_S,
    )


class _Amount(ProgressColumn):
    """How much is done: of what goes over a network in bytes, of anything else in numbers."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes, self._numbers = DownloadColumn(), MofNCompleteColumn()

    def render(self, task: Task) -> Text:
        return (self._bytes if task.fields["in_bytes"] else self._numbers).render(task)


class _Bars:
    """One bar per kind of counted work, and one for the stage at hand."""

    def __init__(self, bars: Progress, counted: Mapping[str, str]) -> None:
        self._bars, self._counted = bars, counted
        self._tasks: dict[str, TaskID] = {}

    def show(self, event: Event) -> None:
        if event.kind == "warning":
            self._bars.console.print(f"warning: {event.message}", markup=False, highlight=False)
        elif event.kind == "stage":
            self._bars.update(self._task(event, None), description=event.message)
        else:
            self._bars.update(self._task(event, event.total), completed=event.done, total=event.total)

    def _task(self, event: Event, total: int | None) -> TaskID:
        """The bar of such events. What was done before this run is no part of its speed."""
        kind = event.kind
        if kind not in self._tasks:
            self._tasks[kind] = self._bars.add_task(
                self._counted.get(kind, ""), total=total, completed=event.done, in_bytes=kind in _IN_BYTES
            )
        return self._tasks[kind]
