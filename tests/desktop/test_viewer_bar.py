"""The bar above the viewer."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QColorDialog, QWidget

from layerflow_desktop.models import display
from layerflow_desktop.models.document import ViewSettings
from layerflow_desktop.views.viewer_bar import ViewerBar

SOURCES = [("comp", "Comp"), ("plate", "Plate"), ("v002/foreground", "v002 foreground")]


@pytest.fixture
def bar(qtbot):
    made = ViewerBar()
    made.set_sources(SOURCES)
    qtbot.addWidget(made)
    made.show()
    return made


@pytest.fixture
def told(bar):
    heard: list[ViewSettings] = []
    bar.settings_changed.connect(heard.append)
    return heard


def choose(box, value: str) -> None:
    box.setCurrentIndex(box.findData(value))
    box.activated.emit(box.currentIndex())


@pytest.mark.parametrize("name", ["wipe", "difference"])
def test_compare_is_chosen_and_b_wakes_up(bar, told, qtbot, name):
    assert not bar.b.isEnabled()
    qtbot.mouseClick(bar.compare.buttons[name], Qt.MouseButton.LeftButton)
    assert [settings.compare for settings in told] == [name]
    assert bar.b.isEnabled()


@pytest.mark.parametrize("name", ["r", "g", "b", "a", "luminance"])
def test_a_channel_is_chosen(bar, told, qtbot, name):
    qtbot.mouseClick(bar.channel.buttons[name], Qt.MouseButton.LeftButton)
    assert [settings.channel for settings in told] == [name]


def test_sources_are_chosen_by_what_settings_call_them(bar, told):
    choose(bar.a, "v002/foreground")
    choose(bar.b, "comp")
    assert (told[-1].a, told[-1].b) == ("v002/foreground", "comp")


def test_exposure_and_gamma_are_dragged_typed_and_reset(bar, told, qtbot):
    bar.exposure._slider.setValue(150)
    bar.gamma._box.setValue(2.2)
    assert (told[-1].exposure, told[-1].gamma) == (1.5, 2.2)
    bar.exposure._box.setValue(12.0)  # beyond the slider
    assert bar.exposure.value == 12.0
    qtbot.mouseDClick(bar.exposure._slider, Qt.MouseButton.LeftButton)
    qtbot.mouseDClick(bar.gamma._label, Qt.MouseButton.LeftButton)
    assert (told[-1].exposure, told[-1].gamma) == (0.0, 1.0)


def test_the_views_are_those_of_the_display(bar, told):
    assert bar.display.currentData() == display.default_display()
    assert bar.view.currentData() == display.default_view()
    choose(bar.view, "Un-tone-mapped")
    other = next(name for name in display.displays() if display.views(name) != display.views(""))
    choose(bar.display, other)
    assert [(settings.display, settings.view) for settings in told] == [("", "Un-tone-mapped"), (other, "")]
    assert [bar.view.itemData(index) for index in range(bar.view.count())] == list(display.views(other))


def test_setting_it_tells_nobody(bar, told):
    settings = ViewSettings(a="plate", b="comp", compare="wipe", channel="a", alpha="straight", exposure=2.25)
    bar.set_settings(settings.with_(background="white", gamma=0.5, view="Raw"))
    bar.set_zoom(0.667)
    assert told == []
    assert bar.settings.gamma == 0.5
    assert bar.background.currentData() == "white"
    assert bar.zoom.text() == "67 %"


def test_an_own_colour_is_picked_and_taken_back(bar, told, qtbot):
    choose(bar.background, "custom")
    dialog = bar.findChild(QColorDialog, "background_color")
    dialog.setCurrentColor(QColor.fromRgbF(1.0, 0.5, 0.0))
    assert told[-1].background == "custom"
    assert told[-1].background_color == pytest.approx((1.0, 0.5**2.2, 0.0), abs=0.01)
    dialog.reject()
    assert told[-1].background_color == ViewSettings().background_color


def test_all_controls_say_what_they_are(bar):
    names = ("source_a", "source_b", "background", "ocio_display", "ocio_view", "zoom", "exposure_box", "gamma_slider")
    parts = [bar.findChild(QWidget, name) for name in names]
    parts += [*bar.compare.buttons.values(), *bar.channel.buttons.values(), *bar.alpha.buttons.values()]
    assert all(part.toolTip() and part.accessibleName() and part.objectName() for part in parts)
    assert bar.sizeHint().width() < 900
