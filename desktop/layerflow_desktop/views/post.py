"""The way from any thread into the interface's."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Qt, Signal, Slot


class Poster(QObject):
    """Makes calls in the thread that it was made in: soon, in order, and one for each turn of the event loop."""

    _asked = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._asked.connect(self._make, Qt.ConnectionType.QueuedConnection)

    def __call__(self, call: Callable[[], None]) -> None:
        self._asked.emit(call)

    @Slot(object)
    def _make(self, call: Callable[[], None]) -> None:
        call()
