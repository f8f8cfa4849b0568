"""Small fields of a form. Each shows a value without telling of it, and tells what was typed or chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from PySide6.QtCore import QRegularExpression, QSignalBlocker, Qt, Signal
from PySide6.QtGui import QRegularExpressionValidator, QWheelEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLineEdit,
    QSpinBox,
    QToolButton,
    QWidget,
)

from layerflow.wire.asking import new_seed
from layerflow.wire.words import Choice
from layerflow_desktop.views.glyphs import glyph

LARGEST = 2**31 - 1


class ChoiceField(QComboBox):
    """One of a few values, each with what it means."""

    edited = Signal(object)

    def __init__(self, choices: Sequence[Choice], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        for at, (value, label, meaning) in enumerate(choices):
            self.addItem(label, value)
            self.setItemData(at, meaning, Qt.ItemDataRole.ToolTipRole)
        self.activated.connect(lambda: self.edited.emit(self.currentData()))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def show_value(self, value: object) -> None:
        """Shows a value."""
        self.setCurrentIndex(self.findData(value))

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        event.ignore()  # the form is scrolled, not changed by accident


class NameField(QComboBox):
    """A name out of a list, or typed: a model's folder is none of the list."""

    edited = Signal(object)

    def __init__(self, names: Sequence[str] = (), parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setEditable(True)
        self.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumContentsLength(8)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.addItems([*names])
        self.editTextChanged.connect(self.edited.emit)

    def set_names(self, names: Sequence[str]) -> None:
        """Offers these; what is shown stays."""
        if [self.itemText(at) for at in range(self.count())] != [*names]:
            with QSignalBlocker(self):
                shown = self.currentText()
                self.clear()
                self.addItems([*names])
                self.setEditText(shown)

    def show_value(self, value: object) -> None:
        """Shows a value."""
        if self.currentText() != value:
            with QSignalBlocker(self):
                self.setEditText(str(value))

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        event.ignore()


class TextField(QLineEdit):
    """A line of text."""

    edited = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.textEdited.connect(self.edited.emit)

    def show_value(self, value: object) -> None:
        """Shows a value."""
        if self.text() != value:
            self.setText(str(value))


class TextsField(QLineEdit):
    """A few texts with semicolons between them."""

    edited = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.textEdited.connect(lambda: self.edited.emit(self._texts()))

    def show_value(self, value: object) -> None:
        """Shows them."""
        if isinstance(value, tuple) and value != self._texts():
            self.setText("; ".join(value))

    def _texts(self) -> tuple[str, ...]:
        return tuple(text.strip() for text in self.text().split(";") if text.strip())


class SwitchField(QCheckBox):
    """Yes or no."""

    edited = Signal(object)

    def __init__(self, label: str, parent: QWidget | None = None) -> None:
        super().__init__(label, parent)
        self.clicked.connect(self.edited.emit)

    def show_value(self, value: object) -> None:
        """Shows a value."""
        self.setChecked(bool(value))


class CountField(QSpinBox):
    """A whole number, or none: the value below the smallest is shown as words."""

    edited = Signal(object)

    def __init__(self, none: str, low: int, high: int = LARGEST, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setRange(low - 1, high)
        self.setSpecialValueText(none)
        self.setKeyboardTracking(False)
        self.setMinimumHeight(self.fontMetrics().height() + 10)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.valueChanged.connect(lambda value: self.edited.emit(None if value < low else value))

    def show_value(self, value: object) -> None:
        """Shows a value."""
        with QSignalBlocker(self):
            self.setValue(value if isinstance(value, int) else self.minimum())

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        event.ignore()


class NumberField(QDoubleSpinBox):
    """A number; with `none`, one below the smallest is shown as words and means None."""

    edited = Signal(object)

    def __init__(
        self, low: float, high: float, step: float, none: str = "", decimals: int = 2, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setDecimals(decimals)
        self.setSingleStep(step)
        self.setRange(low - step if none else low, high)
        self.setSpecialValueText(none)
        self.setKeyboardTracking(False)
        self.setMinimumHeight(self.fontMetrics().height() + 10)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.valueChanged.connect(lambda value: self.edited.emit(None if value < low else value))

    def show_value(self, value: object) -> None:
        """Shows a value."""
        with QSignalBlocker(self):
            self.setValue(value if isinstance(value, int | float) else self.minimum())

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        event.ignore()


class SeedField(QWidget):
    """A seed, a button that throws another one, and one that keeps it for the next press of Generate."""

    edited = Signal(object)
    lock_edited = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._number = QLineEdit(self)
        self._number.setObjectName("shot_seed")
        self._number.setAccessibleName("Seed")
        self._number.setToolTip("The same seed and settings make the same frames, to the bit")
        self._number.setValidator(QRegularExpressionValidator(QRegularExpression("[0-9]{1,18}"), self._number))
        self._number.textEdited.connect(self._typed)
        self._dice = self._button("dice", "⚄", "New seed", "Take another seed")
        self._dice.clicked.connect(lambda: self.edited.emit(new_seed()))
        self._lock = self._button("lock_seed", "", "Keep the seed", "Keep this seed; else every Generate takes another")
        self._lock.setCheckable(True)
        self._lock.clicked.connect(self._lock_clicked)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for part in (self._number, self._dice, self._lock):
            layout.addWidget(part)
        self.setFocusProxy(self._number)
        self.show_lock(True)

    def show_value(self, value: object) -> None:
        """Shows a seed."""
        if self._number.text() != str(value):
            self._number.setText(str(value))

    def show_lock(self, value: object) -> None:
        """Shows whether it is kept."""
        self._lock.setChecked(bool(value))
        self._lock.setIcon(glyph("lock" if value else "unlock", self.palette()))

    def _typed(self, text: str) -> None:
        if text:
            self.edited.emit(int(text))

    def _lock_clicked(self, checked: bool) -> None:
        self.show_lock(checked)
        self.lock_edited.emit(checked)

    def _button(self, name: str, text: str, label: str, tip: str) -> QToolButton:
        button = QToolButton(self)
        button.setText(text)
        button.setObjectName(f"shot_{name}")
        button.setAccessibleName(label)
        button.setToolTip(tip)
        return button


W = TypeVar("W", bound=QWidget)


def named(name: str, label: str, tip: str, widget: W) -> W:
    """The widget, with a name for those who do not see it, and words for those who wonder."""
    widget.setObjectName(f"shot_{name}")
    widget.setAccessibleName(label)
    widget.setToolTip(tip)
    return widget
