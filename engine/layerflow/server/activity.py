"""Whether anybody is there: requests being answered, streams of events among them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


class Activity:
    """Counts what `app` is answering. Asked by another thread than the one that answers."""

    def __init__(self, app: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._app, self._clock = app, clock
        self._open = 0
        self._last = clock()

    @property
    def quiet_s(self) -> float:
        """For how long nobody has asked anything; 0 while somebody is being answered."""
        return 0.0 if self._open else self._clock() - self._last

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers as the app does."""
        self._open += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._open -= 1
            self._last = self._clock()
