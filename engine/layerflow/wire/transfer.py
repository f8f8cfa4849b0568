"""How far the files of a job are on their way to a server elsewhere, or back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

UPLOADING, DOWNLOADING = "uploading", "downloading"


@dataclass(frozen=True)
class Transfer:
    """So many of the files, and bytes of them, are there."""

    verb: str  # UPLOADING or DOWNLOADING
    files_done: int
    files_total: int
    bytes_done: int
    bytes_total: int


OnTransfer = Callable[[Transfer], None]


def unseen(transfer: Transfer) -> None:
    """What is told of it where nobody looks."""


def unstopped() -> bool:
    """Whether to stop, where nobody can say so."""
    return False


class Progress:
    """Counts the files of one job, and tells of every change."""

    def __init__(self, verb: str, sizes: "list[int]", on_transfer: OnTransfer) -> None:
        self._verb, self._files, self._bytes = verb, len(sizes), sum(sizes)
        self._on_transfer = on_transfer
        self._files_done = self._bytes_done = self._of_this = 0

    def at(self, offset: int) -> None:
        """So many bytes of the file at hand are there."""
        self._of_this = offset
        self._tell()

    def through(self, size: int) -> None:
        """The file at hand is there."""
        self._files_done, self._bytes_done, self._of_this = self._files_done + 1, self._bytes_done + size, 0
        self._tell()

    def _tell(self) -> None:
        done = min(self._bytes_done + self._of_this, self._bytes)
        self._on_transfer(Transfer(self._verb, self._files_done, self._files, done, self._bytes))
