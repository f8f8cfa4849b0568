"""Progress as lines of stdout that a runner of Open Job Description reads: percent, status, and why it failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from layerflow.errors import LayerFlowError
from layerflow.wire import Event

_COUNTED = ("step", "frame")


@contextmanager
def openjd_lines() -> Iterator[Callable[[Event], None]]:
    """A function that says each event on stdout; an error out of the block is said too."""
    said = ""

    def on_event(event: Event) -> None:
        nonlocal said
        line = _line(event)
        if line and line != said:
            click.echo(line)
            said = line

    try:
        yield on_event
    except LayerFlowError as error:
        click.echo(f"openjd_fail: {_one_line(str(error))}")
        raise


def _line(event: Event) -> str:
    if event.kind in _COUNTED and event.total:
        return f"openjd_progress: {100 * event.done / event.total:.1f}"
    prefix = "warning: " if event.kind == "warning" else ""
    return f"openjd_status: {prefix}{_one_line(event.message)}" if event.message else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())
