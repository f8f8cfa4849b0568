"""One line of the queue, and what is done with it once a run tells of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from layerflow.wire.run import Run
from layerflow.wire.status import Status

from .tickets import Ticket


@dataclass
class Entry:
    """A shot that was asked for, or is about to be."""

    ticket: Ticket
    status: Status
    run: Run | None = None
    strips: dict[str, str] = field(default_factory=dict)  # what is rendered, "plate" or "guide" -> strip
    is_placed: bool = False

    @property
    def is_running(self) -> bool:
        """Whether something is still going to happen to it."""
        return self.run is not None and not self.run.is_over


class Keeper(Protocol):
    """Who keeps the entries. What it cannot write is a HostError."""

    def note(self, entry: Entry, **values: Any) -> None:
        """Keeps something of an entry on disk."""

    def settle(self, entry: Entry, status: Status) -> None:
        """Takes the end of an entry."""

    def picture(self, entry: Entry, jpeg: bytes) -> None:
        """Shows how the layers of an entry look so far."""
