"""Files of takes on their way to an engine on another machine, and back; of one on this machine nothing is carried."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection

from psygnal import Signal

from layerflow.wire import remote
from layerflow.wire.errors import Stopped
from layerflow.wire.status import Status, carrying
from layerflow.wire.transfer import OnTransfer, Transfer
from layerflow_desktop.controllers.background import Background
from layerflow_desktop.controllers.engine import Engine

TELL_S = 0.25  # the least between two tellings


class Carrying:
    """What is on its way, by the key of its take. What is here belongs to the interface's thread, but for `stopped`."""

    changed = Signal()

    def __init__(self, engine: Engine, background: Background) -> None:
        self._engine, self._background = engine, background
        self._at: dict[str, Status] = {}
        self._wanted: frozenset[str] = frozenset()
        self._closed = threading.Event()

    def close(self) -> None:
        """Stops all of it; what came through is kept."""
        self._closed.set()

    def keep_only(self, keys: Collection[str]) -> None:
        """Stops what is carried for every take but these."""
        self._wanted = frozenset(keys)

    def status_of(self, key: str) -> Status | None:
        """How far the files of a take are; None where none are on their way."""
        return self._at.get(key)

    def stopped(self, key: str) -> Callable[[], bool]:
        """What says whether nobody wants the files of a take any more. For any thread."""
        return lambda: self._closed.is_set() or key not in self._wanted

    def hears(self, key: str) -> OnTransfer:
        """What hears how far the files of a take are. For any thread."""
        told_at = float("-inf")

        def on_transfer(transfer: Transfer) -> None:
            nonlocal told_at
            if time.monotonic() - told_at >= TELL_S:
                told_at = time.monotonic()
                self._engine.post(lambda: self._tell(key, carrying(transfer)))

        return on_transfer

    def over(self, key: str) -> None:
        """Nothing of a take is on its way any more."""
        if self._at.pop(key, None) is not None:
            self.changed.emit()

    def fetch(self, key: str, job: str, then: Callable[[bool], None], failed: Callable[[str], None]) -> None:
        """Has what a job made on this machine, then `then` told whether anything came; or `failed` one sentence."""
        if remote.connected() is None:
            then(False)
            return
        came, tell = [], self.hears(key)

        def on_transfer(transfer: Transfer) -> None:
            came.append(transfer.verb)
            tell(transfer)

        def bring() -> bool:
            try:
                self._engine.client(start=False).fetch(job, on_transfer, self.stopped(key))
            except Stopped:
                return False
            return bool(came)

        def brought(has_come: bool) -> None:
            self.over(key)
            then(has_come)

        def lost(sentence: str) -> None:
            self.over(key)
            failed(sentence)

        self._background.run(bring, brought, lost)

    def _tell(self, key: str, status: Status) -> None:
        if not self.stopped(key)():
            self._at[key] = status
            self.changed.emit()
