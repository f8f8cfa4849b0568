"""What long work says while it runs."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("stage", "step", "frame", "download", "upload", "warning")


@dataclass(frozen=True)
class Event:
    """One report of progress.

    "stage" opens a new part of the work and `message` names it. "step" counts sampler steps across all windows of the
    shot, "frame" counts frames written, "download" and "upload" count bytes; all have `done` of `total`. "warning"
    carries one sentence for the artist.
    """

    kind: str  # one of KINDS
    message: str = ""
    done: int = 0
    total: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError("kind must be one of {}, got {!r}".format(", ".join(KINDS), self.kind))
        if not 0 <= self.done <= self.total:
            raise ValueError("done must be between 0 and total, got {} of {}".format(self.done, self.total))
