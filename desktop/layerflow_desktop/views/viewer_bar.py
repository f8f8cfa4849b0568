"""The bar above the viewer: what is shown, and how it is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import QColor, QIcon, QPixmap
from PySide6.QtWidgets import (
    QButtonGroup,
    QColorDialog,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from layerflow_desktop.models import display
from layerflow_desktop.models.document import ViewSettings
from layerflow_desktop.views.number_slider import NumberSlider

COMPARES = (
    ("off", "Off", "A alone"),
    ("wipe", "Wipe", "A and B, with a line between them to drag"),
    ("difference", "Diff", "How far A and B are apart"),
)
CHANNELS = (
    ("rgb", "RGB", "All channels"),
    ("r", "R", "The red channel"),
    ("g", "G", "The green channel"),
    ("b", "B", "The blue channel"),
    ("a", "A", "The alpha channel"),
    ("luminance", "Lum", "How bright it is"),
)
ALPHAS = (
    ("premultiplied", "Over", "Colour as it lies over the background: premultiplied"),
    ("straight", "Straight", "Colour as if nothing were transparent"),
)
BACKGROUNDS = (("checkerboard", "Checkerboard"), ("black", "Black"), ("white", "White"), ("custom", "Own colour…"))
_DOWN = """
QToolButton { padding: 2px 5px; border: 1px solid palette(dark); border-radius: 2px; background: palette(button); }
QToolButton:hover { border-color: palette(light); }
QToolButton:focus { border-color: palette(highlight); }
QToolButton:checked { background: palette(highlight); color: palette(highlighted-text); }
"""
_NARROWEST_PX = 64  # of a list: the window has to fit a laptop
DISPLAY_GAMMA = 2.2  # of the colour dialog, near enough for a swatch


class Choice(QWidget):
    """A row of buttons, one of which is down."""

    chosen = Signal(str)

    def __init__(self, name: str, accessible_name: str, choices: Sequence[tuple[str, str, str]]) -> None:
        super().__init__()
        self.setObjectName(name)
        self.setAccessibleName(accessible_name)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(1)
        self.setStyleSheet(_DOWN)
        self._group = QButtonGroup(self)
        self.buttons: dict[str, QToolButton] = {}
        for value, label, help in choices:
            button = self.buttons[value] = QToolButton(self)
            button.setText(label)
            button.setCheckable(True)
            button.setObjectName(f"{name}_{value}")
            button.setAccessibleName(f"{accessible_name}: {help}")
            button.setToolTip(help)
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # a click leaves the keys to the viewer
            button.clicked.connect(lambda checked=False, value=value: self.chosen.emit(value))
            self._group.addButton(button)
            row.addWidget(button)

    def set_value(self, value: str) -> None:
        """Shows which is chosen, and tells nobody."""
        self.buttons[value].setChecked(True)


class ViewerBar(QFrame):
    """Two rows of controls. It keeps no state but the settings it shows."""

    settings_changed = Signal(ViewSettings)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("viewer_bar")
        self.setAccessibleName("How the picture is looked at")
        self._settings = ViewSettings()
        self._swatch_color: tuple[float, float, float] | None = None
        self._make_controls()
        self._lay_out()
        self.set_settings(self._settings)

    @property
    def settings(self) -> ViewSettings:
        """What it shows."""
        return self._settings

    def set_settings(self, settings: ViewSettings) -> None:
        """Shows settings, and tells nobody."""
        self._settings = settings
        _select(self.a, settings.a)
        _select(self.b, settings.b)
        self.compare.set_value(settings.compare)
        self.b.setEnabled(settings.compare != "off")
        self.channel.set_value(settings.channel)
        self.alpha.set_value(settings.alpha)
        _select(self.background, settings.background)
        self._show_swatch(settings.background_color)
        self.exposure.set_value(settings.exposure)
        self.gamma.set_value(settings.gamma)
        self._show_view(settings.display or display.default_display(), settings.view)

    def set_sources(self, sources: Sequence[tuple[str, str]]) -> None:
        """What A and B can be: what settings call it, and what an artist calls it."""
        for box in (self.a, self.b):
            _fill(box, sources)
        self.set_settings(self._settings)

    def set_zoom(self, zoom: float) -> None:
        """Says how large the picture is shown."""
        self.zoom.setText(f"{zoom * 100:.0f} %" if zoom >= 0.1 else f"{zoom * 100:.1f} %")

    def _make_controls(self) -> None:
        self.a = self._combo("source_a", "A", "What is shown", "a", 12)
        self.b = self._combo("source_b", "B", "What A is compared with", "b", 12)
        self.compare = self._choice("compare", "Compare", COMPARES)
        self.channel = self._choice("channel", "Channel", CHANNELS)
        self.alpha = self._choice("alpha", "Alpha", ALPHAS)
        self.background = self._combo("background", "Background", "What the layers lie over", "background", 9)
        _fill(self.background, BACKGROUNDS)
        self.background.activated.connect(self._pick_color)
        self.exposure = NumberSlider(
            "exposure", "Exposure", "Stops brighter or darker, on the screen alone.", 0.0, (-6, 6), (-20, 20)
        )
        self.gamma = NumberSlider("gamma", "Gamma", "Gamma after the view.", 1.0, (0.2, 4), (0.05, 10))
        self.exposure.value_changed.connect(lambda value: self._change(exposure=value))
        self.gamma.value_changed.connect(lambda value: self._change(gamma=value))
        self.display = self._combo(
            "ocio_display", "Display", "The screen that the picture is seen on", "display", 9, view=""
        )
        self.view = self._combo("ocio_view", "View", "How scene-linear light becomes a picture", "view", 12)
        _fill(self.display, [(name, name) for name in display.displays()])
        self.zoom = QLabel("100 %")
        self.zoom.setObjectName("zoom")
        self.zoom.setAccessibleName("Zoom")
        self.zoom.setToolTip("Pixels of the screen for one of the picture. F fits, Ctrl+1 is 100 %, the wheel zooms.")
        self.zoom.setMinimumWidth(self.zoom.fontMetrics().horizontalAdvance("6400 %"))
        self.zoom.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)

    def _lay_out(self) -> None:
        rows = QVBoxLayout(self)
        rows.setContentsMargins(6, 4, 6, 4)
        rows.setSpacing(4)
        first: list[QWidget] = [_named("A", self.a), self.a, self.compare, _named("B", self.b), self.b]
        first += [_line(), self.channel, self.alpha]
        second: list[QWidget] = [self.background, self.exposure, self.gamma, self.display, self.view, self.zoom]
        stretched = (self.a, self.b, self.exposure, self.gamma, self.view)
        for widgets in (first, second):
            row = QHBoxLayout()
            row.setSpacing(6)
            for widget in widgets:
                row.addWidget(widget, 1 if widget in stretched else 0)
            rows.addLayout(row)

    def _choice(self, name: str, label: str, choices: Sequence[tuple[str, str, str]]) -> Choice:
        choice = Choice(name, label, choices)
        choice.chosen.connect(lambda value: self._change(**{name: value}))
        return choice

    def _combo(self, name: str, label: str, help: str, setting: str, num_letters: int, **also: str) -> QComboBox:
        box = QComboBox(self)
        box.setObjectName(name)
        box.setAccessibleName(label)
        box.setToolTip(help)
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        box.setMinimumContentsLength(num_letters)
        box.setMinimumWidth(_NARROWEST_PX)
        box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        box.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        box.activated.connect(lambda: self._change(**{setting: box.currentData(), **also}))
        return box

    def _change(self, **values: Any) -> None:
        changed = self._settings.with_(**values)
        if changed != self._settings:
            self.set_settings(changed)
            self.settings_changed.emit(changed)

    def _show_view(self, chosen_display: str, view: str) -> None:
        if chosen_display not in display.displays():
            chosen_display = display.default_display()
        names = display.views(chosen_display)
        _select(self.display, chosen_display)
        if [self.view.itemData(index) for index in range(self.view.count())] != list(names):
            _fill(self.view, [(name, name) for name in names])
        _select(self.view, view if view in names else display.default_view(chosen_display))

    def _pick_color(self) -> None:
        """Asks for the own colour, beside the window's work: the picture shows each try."""
        if self.background.currentData() != "custom":
            return
        dialog = QColorDialog(_swatch(self._settings.background_color), self)
        dialog.setObjectName("background_color")
        dialog.setWindowTitle("Background colour")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        before = self._settings.background_color
        dialog.currentColorChanged.connect(lambda color: self._change(background_color=_linear(color)))
        dialog.rejected.connect(lambda: self._change(background_color=before))
        dialog.open()

    def _show_swatch(self, color: tuple[float, float, float]) -> None:
        if color == self._swatch_color:
            return
        self._swatch_color = color
        swatch = QPixmap(QSize(12, 12))
        swatch.fill(_swatch(color))
        self.background.setItemIcon(len(BACKGROUNDS) - 1, QIcon(swatch))


def _swatch(color: tuple[float, float, float]) -> QColor:
    return QColor.fromRgbF(*(min(1.0, max(0.0, value)) ** (1 / DISPLAY_GAMMA) for value in color))


def _linear(color: QColor) -> tuple[float, float, float]:
    red, green, blue = (value**DISPLAY_GAMMA for value in (color.redF(), color.greenF(), color.blueF()))
    return red, green, blue


def _fill(box: QComboBox, items: Sequence[tuple[str, str]]) -> None:
    with QSignalBlocker(box):
        box.clear()
        for value, label in items:
            box.addItem(label, value)
            box.setItemData(box.count() - 1, label, Qt.ItemDataRole.ToolTipRole)


def _select(box: QComboBox, value: str) -> None:
    """Shows what is chosen; nothing where it is not among what there is."""
    place = box.findData(value)
    if place != box.currentIndex():
        with QSignalBlocker(box):
            box.setCurrentIndex(place)


def _named(text: str, box: QComboBox) -> QLabel:
    label = QLabel(text)
    label.setObjectName(f"{box.objectName()}_label")
    label.setAccessibleName(box.accessibleName())
    label.setToolTip(box.toolTip())
    label.setBuddy(box)
    return label


def _line() -> QFrame:
    line = QFrame()
    line.setFrameShape(QFrame.Shape.VLine)
    line.setFrameShadow(QFrame.Shadow.Sunken)
    return line
