"""What one is used to from other programs: names for everything, keys, full screen, a window that comes back."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
from psygnal import Signal
from PySide6.QtCore import SIGNAL, QEvent, Qt
from PySide6.QtGui import QDesktopServices
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDialog,
    QFileDialog,
    QLineEdit,
    QMenu,
    QMenuBar,
    QMessageBox,
    QPlainTextEdit,
    QScrollArea,
    QScrollBar,
    QWidget,
)
from whole_window import App, app

from layerflow_desktop.controllers.studio import Studio
from layerflow_desktop.models.document import LayerState, Take
from layerflow_desktop.models.exports import Exportable
from layerflow_desktop.models.keymap import COMMANDS
from layerflow_desktop.views.cheat_sheet import CheatSheet
from layerflow_desktop.views.export_dialog import ExportDialog
from layerflow_desktop.views.log_window import LogWindow
from layerflow_desktop.views.main_window import MainWindow
from layerflow_desktop.views.preferences_dialog import PreferencesDialog

CONTROLS = (
    QAbstractButton,
    QAbstractSlider,
    QAbstractSpinBox,
    QAbstractItemView,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
)
TASKS = ("generate", "decompose", "background", "foreground")
LAPTOP_PX = (1280, 720)  # the smallest screen that is worked on


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without an engine, for what needs none."""
    monkeypatch.setenv("LAYERFLOW_STUDIO", str(tmp_path / "studio"))
    monkeypatch.setenv("LAYERFLOW_RUNTIME", str(tmp_path / "runtime"))
    monkeypatch.setenv("LAYERFLOW_SERVER", str(tmp_path / "server"))
    monkeypatch.setenv("LAYERFLOW_COMMAND", str(tmp_path / "no-engine"))
    return tmp_path


@pytest.fixture
def studio(qapp, alone: Path) -> Iterator[App]:
    with app() as opened:
        yield opened


def with_layers(studio: App) -> None:
    """Has the project two layers, so that the panel has rows."""
    layers = (LayerState(name="foreground"), LayerState(name="background"))
    take = Take(name="v001", pattern="/nowhere/x_v001.%04d.exr")
    shot = studio.document.shot.with_(task="decompose", further=("a second one",))
    studio.studio.session.amend(studio.document.with_(layers=layers, takes=(take,), take="v001", shot=shot))


def is_of_qt(widget: QWidget, root: QWidget) -> bool:
    """Whether Qt made it, inside of one of ours: the line of a spin box, the list of a box."""
    if isinstance(widget, QScrollBar | QMenu | QMenuBar) or widget.objectName().startswith("qt_"):
        return True
    if type(widget).__name__ == "QDockWidgetTitleButton":
        return True
    while (widget := widget.parentWidget()) not in (None, root):
        if isinstance(widget, QAbstractSpinBox | QComboBox | QAbstractItemView | QDialog):
            return True
    return False


def lacking(root: QWidget) -> str:
    """What can be used in `root` and lacks a name, or does not say what it does: a line for each."""
    lines = []
    for widget in root.findChildren(QWidget):
        takes_keys = bool(widget.focusPolicy() & Qt.FocusPolicy.TabFocus) and widget.focusProxy() is None
        if is_of_qt(widget, root) or not (isinstance(widget, CONTROLS) or takes_keys):
            continue
        has = {"object name": widget.objectName(), "accessible name": widget.accessibleName()}
        if widget.objectName() not in ("viewer", "timeline"):  # a tooltip would lie over the picture; this one has own
            has["tooltip"] = widget.toolTip()
        lacks = [what for what, text in has.items() if not text]
        if lacks:
            lines.append(f"{type(widget).__name__} {widget.objectName() or widget.accessibleName()}: {lacks}")
    return "\n".join(lines)


def test_everything_in_the_window_has_a_name_and_says_what_it_does(studio: App) -> None:
    with_layers(studio)
    assert not lacking(studio.window)


@pytest.mark.parametrize("kind", ["preferences_dialog", "export_dialog", "cheat_sheet", "log_window"])
def test_everything_in_a_dialog_has_a_name_and_says_what_it_does(studio: App, kind: str) -> None:
    window = studio.window
    exportable = Exportable("/nowhere/x_v001.%04d.exr", (1, 2), (LayerState(name="foreground"),))
    dialogs = {
        "preferences_dialog": lambda: PreferencesDialog(studio.studio.preferences, 2**30, window),
        "export_dialog": lambda: ExportDialog(studio.studio.exporter, exportable, window),
        "cheat_sheet": lambda: CheatSheet(window),
        "log_window": lambda: LogWindow("a job", "what happened", window),
    }
    dialog = dialogs[kind]()
    dialog.show()
    assert not lacking(dialog)
    dialog.close()


def test_the_form_and_the_window_fit_a_laptop(studio: App) -> None:
    with_layers(studio)
    smallest = studio.window.minimumSizeHint()
    assert smallest.width() <= LAPTOP_PX[0] and smallest.height() <= LAPTOP_PX[1]
    studio.window.resize(*LAPTOP_PX)
    scroll = studio.find(QScrollArea, "shot_scroll")
    studio.find(QAbstractButton, "shot_advanced").setChecked(True)
    for task in TASKS:
        studio.studio.session.edit("Task", studio.document.with_(shot=studio.document.shot.with_(task=task)))
        QTest.qWait(20)
        assert scroll.verticalScrollBar().isVisible()
        assert scroll.widget().width() == scroll.viewport().width() >= scroll.widget().minimumSizeHint().width()


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What would have been opened: windows of the system, and the one that asks for files."""
    opened: list[str] = []
    for name, nothing in (("getOpenFileName", ("", "")), ("getSaveFileName", ("", "")), ("getExistingDirectory", "")):
        monkeypatch.setattr(
            QFileDialog, name, lambda *_, name=name, nothing=nothing, **__: opened.append(name) or nothing
        )
    monkeypatch.setattr(QMessageBox, "about", lambda *_: opened.append("about"))
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: bool(opened.append(url.toString())) or True)
    return opened


def test_every_command_does_something(studio: App, quiet: list[str]) -> None:
    with_layers(studio)
    for command in COMMANDS:
        action = studio.window.actions_by_name[command.name]
        assert action.receivers(SIGNAL("triggered(bool)")) > 0, command.name
        if command.name != "quit":
            action.trigger()
            QTest.qWait(1)
    assert {"getOpenFileName", "getSaveFileName", "getExistingDirectory", "about"} <= set(quiet)
    for dialog in studio.dialogs():
        dialog.close()


@pytest.mark.parametrize("name", ["prompt_foreground", "shot_seed", "shot_steps", "shot_model", "shot_output"])
def test_letters_are_letters_while_one_types(studio: App, name: str) -> None:
    keys = sorted({key for command in COMMANDS for key in command.keys if len(key) == 1})
    assert len(keys) > 15
    field = studio.find(QWidget, name)
    window = studio.window
    fired = []
    for command in COMMANDS:
        window.actions_by_name[command.name].triggered.connect(lambda _, name=command.name: fired.append(name))
    window.activateWindow()
    field.setFocus()
    QTest.keyClicks(QApplication.focusWidget(), "".join(keys).lower())
    assert fired == []
    studio.viewer.setFocus()
    QTest.keyClicks(studio.viewer, "r")
    assert fired == ["show_r"] and studio.document.view.channel == "r"


def test_the_window_comes_back_as_it_was(qapp, alone: Path) -> None:
    with app() as first:
        docks = first.window.docks
        first.window.resize(1277, 650)  # Qt's screen without a screen is 800 pixels wide and high
        docks["shot_dock"].hide()
        first.window.resizeDocks([docks["layers_dock"], docks["queue_dock"]], [180, 370], Qt.Orientation.Vertical)
        QTest.qWait(20)
        height = docks["layers_dock"].height()
        first.do("full_screen")  # which is not how it comes back
    with app() as second:
        QTest.qWait(20)
        docks = second.window.docks
        assert second.window.height() == 650 and not second.window.isFullScreen()
        assert docks["layers_dock"].height() == height
        assert not docks["shot_dock"].isVisible() and docks["queue_dock"].isVisible()
        assert second.window.menuBar().isVisible() and second.window.screen_.bar.isVisible()


def test_full_screen_is_the_picture_alone_and_escape_comes_back(studio: App) -> None:
    window = studio.window
    around = [*(window.docks[name] for name in ("shot_dock", "layers_dock", "queue_dock")), window.statusBar()]
    around += [window.menuBar(), window.screen_.bar, window.screen_.transport, window.screen_.timeline]
    studio.do("full_screen")
    assert window.isFullScreen() and not any(each.isVisible() for each in around)
    QTest.keyClick(studio.viewer, Qt.Key.Key_A)  # keys go on without a menu
    assert studio.document.view.channel == "a"
    QTest.keyClick(studio.viewer, Qt.Key.Key_Escape)
    assert not window.isFullScreen() and all(each.isVisible() for each in around)


def test_work_that_is_not_saved_is_asked_about(studio: App, alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_layers(studio)
    window = studio.window

    def asked() -> QMessageBox:
        window.close()
        assert window.isVisible()
        return next(each for each in studio.dialogs() if each.objectName() == "unsaved")

    box = asked()
    box.button(QMessageBox.StandardButton.Cancel).click()
    assert window.isVisible() and not studio.dialogs()

    chosen = alone / "dog.lfstudio"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, **__: (str(chosen), ""))
    asked().button(QMessageBox.StandardButton.Save).click()
    studio.until(lambda: not window.isVisible())
    assert chosen.exists()


def test_nothing_is_asked_where_there_is_nothing_to_lose(studio: App) -> None:
    studio.window.close()
    assert not studio.window.isVisible() and not studio.dialogs()


def test_nothing_is_left_of_a_window(qapp, alone: Path) -> None:
    def opened_and_closed() -> list[weakref.ref]:
        with app() as studio:
            with_layers(studio)
            QTest.qWait(20)
            for name in ("shortcuts", "preferences"):
                studio.do(name)
            for dialog in studio.dialogs():
                dialog.close()
            return [weakref.ref(each) for each in (studio.window, studio.studio, studio.studio.session)]

    opened_and_closed()
    before = census()
    left = [ref for _ in range(5) for ref in opened_and_closed()]
    until_still(before)
    assert census() == before
    assert [ref() for ref in left if ref() is not None] == []


def test_controllers_forget_a_window_that_is_gone(qapp, alone: Path) -> None:
    with app() as opened:
        studio = opened.studio
        opened.until(lambda: studio.engine.state == "away")  # and the message over the viewer says so
        QTest.qWait(20)
        before, num_widgets = receivers(studio), len(QApplication.allWidgets())
        window = MainWindow(studio)
        window.show()
        for name in ("shortcuts", "preferences", "doctor"):
            window.actions_by_name[name].trigger()
        QTest.qWait(20)
        assert receivers(studio) != before
        window.close_for_good()
        window.deleteLater()
        del window
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        gc.collect()
        assert receivers(studio) == before
        assert len(QApplication.allWidgets()) == num_widgets


def receivers(studio: Studio) -> dict[str, int]:
    """How many listen to each signal of each controller."""
    owners = {"studio": studio, **vars(studio)}
    return {
        f"{owner}.{name}": len(getattr(controller, name))
        for owner, controller in owners.items()
        for name, value in vars(type(controller)).items()
        if isinstance(value, Signal)
    }


def census() -> tuple[int, int, list[str]]:
    """How many widgets there are, in how many windows, and which threads."""
    gc.collect()
    threads = sorted(thread.name for thread in threading.enumerate())
    return len(QApplication.allWidgets()), len(QApplication.topLevelWidgets()), threads


def until_still(before: object) -> None:
    """Gives threads that are on their way out a moment."""
    for _ in range(100):
        if census() == before:
            return
        QTest.qWait(20)
