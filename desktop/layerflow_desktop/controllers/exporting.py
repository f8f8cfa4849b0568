"""Exports, one after another: each is made by the engine, and what is there is never replaced unasked."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence

from psygnal import Signal

from layerflow_desktop.controllers.background import Background, Post
from layerflow_desktop.controllers.delivering import Delivery, Exported
from layerflow_desktop.controllers.engine import engine_command
from layerflow_desktop.models.exports import Export


class Exporter:
    """All of its methods belong to the interface's thread, and its signals come in it."""

    progress = Signal(int, int)  # frames that are done, of how many, of the export that runs
    done = Signal(Exported)
    failed = Signal(str)  # one sentence
    cancelled = Signal()
    changed = Signal()  # what runs, or what waits

    def __init__(
        self, background: Background, post: Post, command: Callable[[], Sequence[str]] = engine_command
    ) -> None:
        self._background, self._post, self._command = background, post, command
        self._waiting: deque[Export] = deque()
        self._running: Export | None = None
        self._delivery: Delivery | None = None
        self._is_closed = False

    @property
    def running(self) -> Export | None:
        """The export that is made."""
        return self._running

    @property
    def waiting(self) -> tuple[Export, ...]:
        """Those that are made after it."""
        return tuple(self._waiting)

    def existing(
        self,
        export: Export,
        then: Callable[[tuple[str, ...]], None],
        failed: Callable[[str], None] = lambda message: None,
    ) -> None:
        """Tells which files that export would replace."""
        self._background.run(lambda: tuple(path for path in export.files() if os.path.lexists(path)), then, failed)

    def start(self, export: Export) -> None:
        """Makes it, after those that were asked for before."""
        if not self._is_closed:
            self._waiting.append(export)
            self._next()

    def cancel(self) -> None:
        """Stops the export that runs; the next one begins."""
        if self._delivery is not None:
            self._delivery.stop()

    def close(self) -> None:
        """Stops all of them, and nothing is told any more."""
        self._is_closed = True
        self._waiting.clear()
        self.cancel()

    def _next(self) -> None:
        if self._running is None and self._waiting and not self._is_closed:
            self._running = self._waiting.popleft()
            self._delivery = delivery = Delivery(self._command, self._running)
            self._background.run(lambda: delivery.run(self._pass_on), self._came, self._broke)
        self.changed.emit()

    def _pass_on(self, done: int, total: int) -> None:
        """From the thread of the delivery."""
        self._post(lambda: self._tell(lambda: self.progress.emit(done, total)))

    def _came(self, exported: Exported | None) -> None:
        self._over(self.cancelled.emit if exported is None else lambda: self.done.emit(exported))

    def _broke(self, message: str) -> None:
        self._over(lambda: self.failed.emit(message))

    def _over(self, tell: Callable[[], object]) -> None:
        self._running = self._delivery = None
        self._tell(tell)
        self._next()

    def _tell(self, call: Callable[[], object]) -> None:
        if not self._is_closed:
            call()
