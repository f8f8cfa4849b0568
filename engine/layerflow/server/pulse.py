"""Workers that are there and do nothing any more: a driver or a disk that never answers leaves no exception behind."""

from __future__ import annotations

import logging

from layerflow.server.leases import kill, signs_of_life
from layerflow.server.store import Store

HUNG_S = 1800.0  # loading a model from a slow disk, or a first step that is compiled, gives no sign for minutes

logger = logging.getLogger("layerflow.server")


class Pulse:
    """Ends workers that have a job in hand and gave no sign of life for `hung_s`; whoever waits for them does the rest.

    Counted in looks, and not by the clock: while the machine is asleep nobody looks.
    """

    def __init__(self, store: Store, hung_s: float = HUNG_S) -> None:
        self._store, self._hung_s = store, hung_s
        self._last: dict[str, float] = {}
        self._silent_s: dict[str, float] = {}
        self._ended: set[str] = set()

    def look(self, passed_s: float) -> None:
        """Looks again after so many seconds. Raises StoreError."""
        signs = signs_of_life(self._store)
        self._silent_s = {
            worker: self._silent_s.get(worker, 0.0) + passed_s if self._last.get(worker) == sign else 0.0
            for worker, sign in signs.items()
        }
        self._last = signs
        for worker, silent_s in self._silent_s.items():
            if silent_s >= self._hung_s and worker not in self._ended:
                self._ended.add(worker)
                logger.error("worker %s gave no sign of life for %d s and is ended", worker, silent_s)
                kill(self._store, worker)

    def fate_of(self, worker: str) -> str | None:
        """How a worker went that was ended here, in words that follow "was"; None for any other."""
        minutes = self._hung_s / 60
        return f"ended after {minutes:g} minutes without a sign of life" if worker in self._ended else None
