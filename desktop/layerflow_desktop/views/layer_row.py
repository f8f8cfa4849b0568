"""A row of the layer panel: one layer, and what is done with it."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, QPoint, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QContextMenuEvent,
    QFont,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPalette,
    QPen,
)
from PySide6.QtWidgets import QApplication, QHBoxLayout, QLabel, QSlider, QToolButton, QVBoxLayout, QWidget

from layerflow_desktop.models.document import LayerState
from layerflow_desktop.models.layer_stack import spoken
from layerflow_desktop.views.drag_number import DragNumber
from layerflow_desktop.views.glyphs import GRID, glyph

_FAR = 100_000.0  # pixels
_FLAT = """
QToolButton { border: 1px solid transparent; border-radius: 2px; background: transparent; }
QToolButton:hover { background: palette(button); }
QToolButton:focus { border-color: palette(light); }
"""


class LayerRow(QWidget):
    """One layer. It changes nothing itself: it tells the panel which field became what."""

    field_changed = Signal(str, object)  # name of the field, its value
    settled = Signal()  # a drag is over
    chosen = Signal()
    walked = Signal(int)  # to the row so many below
    moved = Signal(int)  # the layer, by so many places
    drag_moved = Signal(QPoint)  # global
    drag_ended = Signal(QPoint)
    menu_asked = Signal(QPoint)

    def __init__(self, state: LayerState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._words = spoken(state.name)
        self._is_chosen = False
        self._pressed_at: QPoint | None = None
        self._is_dragged = False
        self.setObjectName(f"layer-{state.name}")
        self.setAccessibleName(f"Layer {self._words}")
        self.setToolTip("Click to look at this layer alone; drag to change the order")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._looks: dict[str, object] = {}  # of buttons, so that a drag draws no icon again
        self._make_buttons()
        self._make_numbers()
        self._lay_out()

    @property
    def name(self) -> str:
        """The layer's name."""
        return self._state.name

    def show_state(self, state: LayerState, is_seen: bool, is_chosen: bool) -> None:
        """Shows what is done with the layer, whether one sees it, and whether the viewer shows it alone."""
        self._state, self._is_chosen = state, is_chosen
        self._check(self.eye, state.visible, "eye" if state.visible else "eye_shut")
        self._check(self.lock, state.locked, "lock" if state.locked else "unlock")
        self._check(self.solo, state.solo)
        self._show_opacity(state.opacity)
        for field, number in self.numbers.items():
            number.show_value(getattr(state, field))
        self.label.setForegroundRole(QPalette.ColorRole.WindowText if is_seen else QPalette.ColorRole.PlaceholderText)
        self._mark_more()
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Its ground: lighter where it is looked at, with the accent at its edge."""
        painter, palette = QPainter(self), self.palette()
        role = QPalette.ColorRole.Midlight if self._is_chosen else QPalette.ColorRole.AlternateBase
        painter.fillRect(self.rect(), palette.color(role))
        if self._is_chosen:
            painter.fillRect(0, 0, 2, self.height(), palette.color(QPalette.ColorRole.Highlight))
        if self.hasFocus():
            color = palette.color(QPalette.ColorRole.Highlight)
            color.setAlpha(130)
            painter.setPen(QPen(color, 1))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def event(self, event: QEvent) -> bool:
        """Keeps Ctrl with the arrows, which a window may have as a shortcut."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent) and self._takes(event):
            event.accept()
            return True
        return super().event(event)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Keeps the wheel for scrolling, while the slider has no focus."""
        if event.type() == QEvent.Type.Wheel and not self.slider.hasFocus():
            event.ignore()
            return True
        return False

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Arrows walk, with Ctrl they move the layer; Enter looks at it."""
        way = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}.get(Qt.Key(event.key()))
        if way is not None:
            is_move = event.modifiers() & Qt.KeyboardModifier.ControlModifier
            (self.moved if is_move else self.walked).emit(way)
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.chosen.emit()
        else:
            super().keyPressEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """The start of a click or a drag."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._pressed_at = event.position().toPoint()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """A drag, once it is far enough to be one."""
        if self._pressed_at is None:
            return
        far = (event.position().toPoint() - self._pressed_at).manhattanLength()
        self._is_dragged = self._is_dragged or far >= QApplication.startDragDistance()
        if self._is_dragged:
            self.drag_moved.emit(event.globalPosition().toPoint())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """The end of either."""
        was_pressed, was_dragged = self._pressed_at is not None, self._is_dragged
        self._pressed_at, self._is_dragged = None, False
        if was_dragged:
            self.drag_ended.emit(event.globalPosition().toPoint())
        elif was_pressed:
            self.chosen.emit()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:  # noqa: N802
        """What else can be done with the layer."""
        self.menu_asked.emit(event.globalPos())

    def _takes(self, event: QKeyEvent) -> bool:
        is_arrow = event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down)
        return is_arrow and event.modifiers() in (
            Qt.KeyboardModifier.ControlModifier,
            Qt.KeyboardModifier.NoModifier,
        )

    def _make_buttons(self) -> None:
        words = self._words
        self.eye = self._toggle("visible", f"Show {words}", "Shows or hides the layer")
        self.solo = self._toggle("solo", f"Solo {words}", "Shows this layer and others that are soloed, alone")
        self.lock = self._toggle("locked", f"Lock {words}", "Keeps the layer, to the bit, when the rest is made anew")
        font = QFont(self.solo.font())
        font.setBold(True)
        self.solo.setFont(font)
        self.solo.setText("S")
        self.label = QLabel(words, self)
        self.label.setMinimumWidth(40)
        self.slider = QSlider(Qt.Orientation.Horizontal, self)
        self.slider.setRange(0, 100)
        self.slider.setObjectName("opacity-slider")
        self.slider.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.slider.setAccessibleName(f"Opacity of {words}")
        self.slider.setToolTip("Opacity in percent")
        self.slider.setFixedWidth(72)
        self.slider.installEventFilter(self)
        grey = self.slider.palette()
        grey.setColor(QPalette.ColorRole.Highlight, grey.color(QPalette.ColorRole.Light))
        self.slider.setPalette(grey)  # the accent is for what is out of the ordinary
        self.slider.valueChanged.connect(lambda value: self.field_changed.emit("opacity", value / 100))
        self.slider.sliderReleased.connect(self.settled)
        self.more = QToolButton(self)
        self.more.setAutoRaise(True)
        self.more.setCheckable(True)
        self.more.setStyleSheet(_FLAT)
        self.more.setObjectName("more")
        self.more.setIconSize(QSize(GRID, GRID))
        self.more.setAccessibleName(f"Offset and scale of {words}")
        self.more.setToolTip("Offset and scale, to try a recomposition")
        self.more.toggled.connect(self._open)

    def _toggle(self, field: str, words: str, tip: str) -> QToolButton:
        button = QToolButton(self)
        button.setObjectName(field)
        button.setAutoRaise(True)
        button.setCheckable(True)
        button.setIconSize(QSize(GRID, GRID))
        button.setFixedSize(22, 22)
        button.setStyleSheet(_FLAT)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.setAccessibleName(words)
        button.setToolTip(tip)
        button.clicked.connect(lambda is_on: self.field_changed.emit(field, is_on))
        return button

    def _make_numbers(self) -> None:
        words = self._words
        self.opacity = DragNumber("%", f"Opacity of {words}", 100, 0, 100, 1, 0, self, is_unit=True)
        self.opacity.changed.connect(lambda value: self.field_changed.emit("opacity", value / 100))
        self.opacity.setObjectName("opacity")
        self.opacity.spin.setMinimumWidth(34)
        self.numbers = {
            "offset_x": DragNumber("X", f"Offset of {words} to the right, pixels", 0, -_FAR, _FAR, 1, 1, self),
            "offset_y": DragNumber("Y", f"Offset of {words} downward, pixels", 0, -_FAR, _FAR, 1, 1, self),
            "scale": DragNumber("Scale", f"Scale of {words} about the middle", 1, 0.01, 100, 0.01, 3, self),
        }
        for field, number in self.numbers.items():
            number.setObjectName(field)
            number.changed.connect(self._teller(field))
        for number in (self.opacity, *self.numbers.values()):
            number.settled.connect(self.settled)

    def _teller(self, field: str) -> Callable[[float], None]:
        return lambda value: self.field_changed.emit(field, value)

    def _lay_out(self) -> None:
        line = QHBoxLayout()
        line.setContentsMargins(6, 1, 4, 1)
        line.setSpacing(1)
        for widget in (self.eye, self.solo, self.lock):
            line.addWidget(widget)
        line.addSpacing(5)
        line.addWidget(self.label, 1)
        line.addWidget(self.slider)
        line.addWidget(self.opacity)
        line.addWidget(self.more)
        self.details = QWidget(self)
        numbers = QHBoxLayout(self.details)
        numbers.setContentsMargins(30, 0, 8, 5)
        numbers.setSpacing(10)
        for number in self.numbers.values():
            numbers.addWidget(number)
        self.details.hide()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(line)
        column.addWidget(self.details)

    def _open(self, is_open: bool) -> None:
        self.details.setVisible(is_open)
        self._mark_more()

    def _mark_more(self) -> None:
        """The arrow; in the accent where offset or scale is not as it was made."""
        state, palette = self._state, self.palette()
        is_moved = (state.offset_x, state.offset_y, state.scale) != (0.0, 0.0, 1.0)
        role = QPalette.ColorRole.Highlight if is_moved else QPalette.ColorRole.ButtonText
        self._dress(self.more, "open" if self.more.isChecked() else "closed", palette.color(role))

    def _show_opacity(self, opacity: float) -> None:
        self.slider.blockSignals(True)
        self.slider.setValue(round(opacity * 100))
        self.slider.blockSignals(False)
        self.opacity.show_value(opacity * 100)

    def _check(self, button: QToolButton, is_on: bool, icon: str = "") -> None:
        """Shows whether it is on: a lock and a solo in the accent, as they are out of the ordinary."""
        button.setChecked(is_on)
        is_marked = is_on and icon != "eye"
        plain = QPalette.ColorRole.ButtonText if icon == "eye" else QPalette.ColorRole.PlaceholderText
        role = QPalette.ColorRole.Highlight if is_marked else plain
        self._dress(button, icon, self.palette().color(role))

    def _dress(self, button: QToolButton, icon: str, color: QColor) -> None:
        look = (icon, color.rgba())
        if self._looks.get(button.objectName()) == look:
            return
        self._looks[button.objectName()] = look
        if not icon:
            button.setStyleSheet(f"{_FLAT} QToolButton {{ color: {color.name()}; }}")
            return
        palette = self.palette()
        for role in (QPalette.ColorRole.ButtonText, QPalette.ColorRole.Highlight):
            palette.setColor(role, color)
        button.setIcon(glyph(icon, palette))
