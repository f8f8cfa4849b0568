"""A number to drag or to type; a double click puts it back."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QDoubleSpinBox, QHBoxLayout, QLabel, QSlider, QWidget

TICKS = 100  # of the slider, for a step of 1


class NumberSlider(QWidget):
    """A label, a slider for the usual range and a box for all that is allowed."""

    value_changed = Signal(float)

    def __init__(
        self,
        name: str,
        label: str,
        help: str,
        default: float,
        usual: tuple[float, float],
        allowed: tuple[float, float],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self._default = default
        self._label = QLabel(label, self)
        self._slider = QSlider(Qt.Orientation.Horizontal, self)
        self._slider.setRange(*(round(value * TICKS) for value in usual))
        self._slider.setMinimumWidth(48)
        self._box = QDoubleSpinBox(self)
        self._box.setRange(*allowed)
        self._box.setDecimals(2)
        self._box.setSingleStep(0.1)
        self._box.setKeyboardTracking(False)
        self._box.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
        self._box.setMaximumWidth(56)
        self._lay_out(name, label, f"{help} Double-click to reset.")
        self.set_value(default)
        self._slider.valueChanged.connect(lambda ticks: self._change(ticks / TICKS))
        self._box.valueChanged.connect(self._change)

    @property
    def value(self) -> float:
        """The number."""
        return self._box.value()

    def set_value(self, value: float) -> None:
        """Shows a number, and tells nobody."""
        for part, shown in ((self._box, value), (self._slider, round(value * TICKS))):
            with QSignalBlocker(part):
                part.setValue(shown)  # type: ignore[arg-type]

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        if event.type() == QEvent.Type.MouseButtonDblClick:
            self._change(self._default)
            return True
        return super().eventFilter(watched, event)

    def _change(self, value: float) -> None:
        self.set_value(value)
        self.value_changed.emit(value)

    def _lay_out(self, name: str, label: str, help: str) -> None:
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        self._label.setBuddy(self._box)
        for part, kind in ((self._label, "label"), (self._slider, "slider"), (self._box, "box")):
            part.setObjectName(f"{name}_{kind}")
            part.setAccessibleName(label)
            part.setToolTip(help)
            row.addWidget(part, 1 if part is self._slider else 0)
        for part in (self._label, self._slider):
            part.installEventFilter(self)
