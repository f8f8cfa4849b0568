"""What the makers of a shot are given of its files: nothing where they share its folders, and copies where not."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import ray

from layerflow.cluster.mirror import Parcel, stamp_of
from layerflow.cluster.orders import Begun, Files
from layerflow.cluster.pool import Seat
from layerflow.models.adapter_files import find_lora
from layerflow.shot import Shot

MARK = "here"  # a file beside the states of a shot, by which a node tells whether it shares the folder


class Lending:
    """The files of one shot while it is made. Its journal is open."""

    def __init__(self, shot: Shot, way: str) -> None:
        """`way` is "path", "store" or "auto"."""
        self._shot, self._way = shot, way
        self._mark = shot.journal.folder / MARK
        self._text = secrets.token_hex(16)
        self._parcels: dict[str, Parcel] = {}

    def __enter__(self) -> Self:
        if self._way == "auto":
            self._mark.write_text(self._text, encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._mark.unlink(missing_ok=True)

    def files_for(self, seat: Seat, job: str, windows: range) -> Files | None:
        """What an order for those windows has to bring this maker; None where it sees everything. Raises MakerLost."""
        if self._way == "path" or (self._way == "auto" and self._is_seen_by(seat, job)):
            return None
        journal = self._shot.journal
        return Files(parcels=self._packed(windows), memory=journal.memory(), backend=journal.backend())

    def begun(self, begun: Begun) -> None:
        """Writes down what a maker elsewhere began the shot under, unless another one was before it."""
        if begun.memory and self._shot.journal.memory() is None:
            self._shot.journal.begin(memory=begun.memory, backend=begun.backend)

    def _is_seen_by(self, seat: Seat, job: str) -> bool:
        if job not in seat.shares:
            stamps = {str(path.absolute()): stamp_of(path) for path in self._sources()}
            seat.shares = {job: seat.asked(seat.actor.sees.remote(str(self._mark), self._text, stamps))}
        return seat.shares[job]

    def _packed(self, windows: range) -> dict[str, Parcel]:
        """What the shot is made of, and the states that those windows go on and fade in from, as they are now."""
        states = (path for window in (windows.start - 1, *windows) for path in self._shot.journal.states(window))
        return {str(path.absolute()): self._parcel(path) for path in (*self._sources(), *states)}

    def _parcel(self, path: Path) -> Parcel:
        stamp, known = stamp_of(path), self._parcels.get(str(path))
        if known is None or known.stamp != stamp:
            known = Parcel(size=stamp[0], modified_ns=stamp[1], content=ray.put(path.read_bytes()))
            self._parcels[str(path)] = known
        return known

    def _sources(self) -> Iterator[Path]:
        yield from self._shot.sources
        for text in self._shot.request.lora:
            files = find_lora(text)
            yield from (path for path in (files.weights, files.config) if path is not None)
