"""What makes a playback go in Qt: its timer, and its keys."""

from __future__ import annotations

import math
from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, Qt, QTimer
from PySide6.QtGui import QKeyEvent

from layerflow_desktop.controllers.playback import Playback
from layerflow_desktop.views.listening import listen

_LONGEST_MS = 100

_Do = Callable[[Playback, bool], None]  # with whether K is held down


class PlaybackTimer(QObject):
    """Ticks a playback when its next frame is due, and only while it plays. Belongs to its parent."""

    def __init__(self, playback: Playback, parent: QObject) -> None:
        super().__init__(parent)
        self._playback = playback
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._tick)
        listen(self, playback.state_changed, self._arm)
        self._arm()

    def _tick(self) -> None:
        self._playback.tick()
        self._arm()

    def _arm(self) -> None:
        due_in_s = self._playback.due_in_s()
        if due_in_s is None:
            self._timer.stop()
        else:
            self._timer.start(min(math.ceil(due_in_s * 1000), _LONGEST_MS))


class HeldKey(QObject):
    """Whether a key is down in a window, also where a shortcut takes its press: for K with J and L."""

    def __init__(self, window: QObject, key: Qt.Key = Qt.Key.Key_K) -> None:
        super().__init__(window)
        self._key = key
        self.is_down = False
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Looks on, and stops nothing."""
        if event.type() == QEvent.Type.WindowDeactivate:
            self.is_down = False
        elif isinstance(event, QKeyEvent) and event.key() == self._key and not event.isAutoRepeat():
            self.is_down = event.type() != QEvent.Type.KeyRelease
        return False


def press(playback: Playback, key: int, k_is_down: bool = False) -> bool:
    """Does what a key does to a playback; False where it does nothing."""
    do = _KEYS.get(key)
    if do is not None:
        do(playback, k_is_down)
    return do is not None


_KEYS: dict[int, _Do] = {
    Qt.Key.Key_Space: lambda playback, held: playback.toggle(),
    Qt.Key.Key_J: lambda playback, held: playback.shuttle("j", held),
    Qt.Key.Key_K: lambda playback, held: playback.shuttle("k"),
    Qt.Key.Key_L: lambda playback, held: playback.shuttle("l", held),
    Qt.Key.Key_Left: lambda playback, held: playback.step(-1),
    Qt.Key.Key_Right: lambda playback, held: playback.step(1),
    Qt.Key.Key_Home: lambda playback, held: playback.to_start(),
    Qt.Key.Key_End: lambda playback, held: playback.to_end(),
    Qt.Key.Key_I: lambda playback, held: playback.mark_in(),
    Qt.Key.Key_O: lambda playback, held: playback.mark_out(),
    Qt.Key.Key_U: lambda playback, held: playback.clear_marks(),
}
