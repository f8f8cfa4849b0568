"""A number with its name: drag the name to change it, double-click the name to put it back, or type."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QMouseEvent, QPalette
from PySide6.QtWidgets import QAbstractSpinBox, QDoubleSpinBox, QHBoxLayout, QLabel, QWidget

_FINE = 0.1  # of the usual step, with Shift held


class DragLabel(QLabel):
    """A name that is dragged sideways."""

    dragged = Signal(float)  # pixels since the last time; a tenth with Shift
    released = Signal()
    put_back = Signal()

    def __init__(self, text: str, parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self._x: float | None = None
        self.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        self.setCursor(Qt.CursorShape.SizeHorCursor)

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Takes hold."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._x = event.globalPosition().x()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Says how far it was dragged."""
        x = event.globalPosition().x()
        if self._x is not None and x != self._x:
            is_fine = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            self.dragged.emit((x - self._x) * (_FINE if is_fine else 1.0))
            self._x = x

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Lets go."""
        if self._x is not None:
            self._x = None
            self.released.emit()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Asks for the value it came with."""
        self.put_back.emit()


class DragNumber(QWidget):
    """A named number. `changed` comes with every step of a drag, `settled` once at its end."""

    changed = Signal(float)
    settled = Signal()

    def __init__(
        self,
        label: str,
        name: str,
        default: float,
        lowest: float,
        highest: float,
        step: float,
        decimals: int,
        parent: QWidget | None = None,
        *,
        is_unit: bool = False,  # the label is one, and stands behind the number
    ) -> None:
        super().__init__(parent)
        self._default = default
        self._dragged_to: float | None = None  # finer than the number shows
        self.label = DragLabel(label, self)
        self.spin = QDoubleSpinBox(self)
        self._set_up(name, lowest, highest, step, decimals)
        self.setToolTip(f"{name}; drag the name to change it, with Shift slowly; double-click it to put it back")
        self.spin.setToolTip(self.toolTip())
        self.spin.setObjectName("number")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for widget in (self.spin, self.label) if is_unit else (self.label, self.spin):
            row.addWidget(widget, widget is self.spin)
        self.spin.valueChanged.connect(self.changed)
        self.spin.editingFinished.connect(self.settled)
        self.label.dragged.connect(self._drag)
        self.label.released.connect(self._let_go)
        self.label.put_back.connect(self._put_back)

    def show_value(self, value: float) -> None:
        """Shows a value without telling that it changed."""
        if abs(self.spin.value() - value) > 10.0 ** -(self.spin.decimals() + 1):
            self.spin.blockSignals(True)
            self.spin.setValue(value)
            self.spin.blockSignals(False)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Keeps the wheel for scrolling, while the number has no focus."""
        if event.type() == QEvent.Type.Wheel and not self.spin.hasFocus():
            event.ignore()
            return True
        return False

    def _set_up(self, name: str, lowest: float, highest: float, step: float, decimals: int) -> None:
        spin = self.spin
        spin.setDecimals(decimals)
        spin.setRange(lowest, highest)
        spin.setSingleStep(step)
        spin.setValue(self._default)
        spin.setKeyboardTracking(False)
        spin.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
        spin.setAlignment(Qt.AlignmentFlag.AlignRight)
        spin.setAccessibleName(name)
        spin.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        spin.setMinimumWidth(52)
        spin.installEventFilter(self)

    def _drag(self, px: float) -> None:
        spin = self.spin
        start = spin.value() if self._dragged_to is None else self._dragged_to
        self._dragged_to = min(max(start + px * spin.singleStep(), spin.minimum()), spin.maximum())
        spin.setValue(self._dragged_to)

    def _let_go(self) -> None:
        self._dragged_to = None
        self.settled.emit()

    def _put_back(self) -> None:
        self.spin.setValue(self._default)
        self.settled.emit()
