"""The one window: what is asked for on the left, the picture in the middle, layers and queue on the right."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QByteArray, Qt
from PySide6.QtGui import QAction, QCloseEvent, QKeyEvent
from PySide6.QtWidgets import QDockWidget, QLabel, QMainWindow, QMenu, QWidget

from layerflow_desktop.controllers.example import take_in_example
from layerflow_desktop.controllers.studio import Studio
from layerflow_desktop.views.actions import Actions
from layerflow_desktop.views.allow_bar import AllowBar
from layerflow_desktop.views.cheat_sheet import CheatSheet
from layerflow_desktop.views.doctor_panel import DoctorPanel
from layerflow_desktop.views.file_commands import FileCommands
from layerflow_desktop.views.layer_panel import LayerPanel
from layerflow_desktop.views.listening import listen
from layerflow_desktop.views.preferences_dialog import PreferencesDialog
from layerflow_desktop.views.queue_panel import QueuePanel
from layerflow_desktop.views.screen import Screen
from layerflow_desktop.views.shot_panel import ShotPanel
from layerflow_desktop.views.take_commands import TakeCommands
from layerflow_desktop.views.view_commands import ViewCommands
from layerflow_desktop.views.welcome import DOCTOR, OPEN, TRY
from layerflow_desktop.views.window_state import keep_window, restore_window

_LEFT, _RIGHT = Qt.DockWidgetArea.LeftDockWidgetArea, Qt.DockWidgetArea.RightDockWidgetArea
_BOTTOM = Qt.DockWidgetArea.BottomDockWidgetArea  # where sentences that say what to do have room
_SAY_MS = 15_000
_SHOT_PX, _LAYERS_PX = 288, 280  # at least, so that the window fits a laptop
_DOCTOR_PX = 200
_BEGIN_PX = (320, 340)


class MainWindow(QMainWindow):
    """Panels around the screen, menus, and a status line."""

    def __init__(self, studio: Studio) -> None:
        super().__init__()
        self.setObjectName("main_window")
        self.setAcceptDrops(False)  # the viewer and the wells of the shot panel take drops
        self.studio = studio
        self._may_close = False
        self._before_full_screen: QByteArray | None = None
        self.actions_by_name = Actions(self)
        self._make_panels()
        self._make_docks()
        self.files = FileCommands(studio, self)
        self.view_commands = ViewCommands(studio, self.actions_by_name, self)
        self.takes = TakeCommands(studio, self)
        self._menus = self.actions_by_name.fill(self.menuBar())
        self._add_panels_to_menu()
        self._make_status()
        self._connect()
        self.resize(1440, 900)
        self.was_restored = restore_window(self)
        self._show_title(studio.projects.title)
        self._show_history()

    def _make_panels(self) -> None:
        studio = self.studio
        self.screen_ = Screen(studio, self)
        inputs = studio.inputs
        self.shot_panel = ShotPanel(
            studio.session, studio.engine, studio.recent, studio.generating, inputs.resolve, inputs.describe
        )
        self.shot_panel.ask_with(AllowBar(studio.generating, self.shot_panel))
        self.layer_panel = LayerPanel(studio.session)
        self.queue_panel = QueuePanel(studio.queue, studio.session.say)
        self.doctor_panel = DoctorPanel(studio.engine)

    def _make_docks(self) -> None:
        self.setCentralWidget(self.screen_)
        self.setDockOptions(QMainWindow.DockOption.AnimatedDocks | QMainWindow.DockOption.AllowTabbedDocks)
        self.docks = {
            name: self._dock(name, title, panel, area)
            for name, title, panel, area in (
                ("shot_dock", "Shot", self.shot_panel, _LEFT),
                ("layers_dock", "Layers", self.layer_panel, _RIGHT),
                ("queue_dock", "Queue", self.queue_panel, _RIGHT),
                ("doctor_dock", "What is installed", self.doctor_panel, _BOTTOM),
            )
        }
        self.docks["doctor_dock"].hide()
        self.shot_panel.setMinimumWidth(_SHOT_PX)
        self.layer_panel.setMinimumWidth(_LAYERS_PX)
        self.resizeDocks([self.docks["layers_dock"], self.docks["queue_dock"]], [360, 420], Qt.Orientation.Vertical)
        self.resizeDocks([self.docks["shot_dock"], self.docks["layers_dock"]], _BEGIN_PX, Qt.Orientation.Horizontal)

    def _dock(self, name: str, title: str, panel: QWidget, area: Qt.DockWidgetArea) -> QDockWidget:
        dock = QDockWidget(title, self)
        dock.setObjectName(name)
        dock.setWidget(panel)
        self.addDockWidget(area, dock)
        return dock

    def _add_panels_to_menu(self) -> None:
        menu = self._menus["View"]
        menu.addSeparator()
        for dock in self.docks.values():
            menu.addAction(dock.toggleViewAction())
        recent = QMenu("Open recent", self)
        recent.setObjectName("recent_menu")
        recent.aboutToShow.connect(lambda: self._fill_recent(recent))
        self._menus["File"].insertMenu(self.actions_by_name["save_project"], recent)

    def _fill_recent(self, menu: QMenu) -> None:
        menu.clear()
        for path in (*self.studio.recent.projects, *self.studio.recent.plates):
            action = QAction(path, menu)
            action.triggered.connect(lambda checked=False, path=path: self.files.open([path]))
            menu.addAction(action)
        if menu.isEmpty():
            menu.addAction("Nothing yet").setEnabled(False)

    def _make_status(self) -> None:
        self.engine_label = QLabel(self)
        self.engine_label.setObjectName("engine_state")
        self.engine_label.setAccessibleName("Engine")
        self.statusBar().addPermanentWidget(self.engine_label)
        self._show_engine()

    def _connect(self) -> None:
        studio, session = self.studio, self.studio.session
        listen(self, session.said, self._say)
        listen(self, session.history_changed, self._show_history)
        listen(self, studio.projects.title_changed, self._show_title)
        listen(self, studio.engine.changed, self._show_engine)
        self.screen_.files_dropped.connect(self.files.open)
        self.screen_.message_button.connect(self._message_button)
        self.layer_panel.layer_chosen.connect(lambda name: session.look(view=session.document.view.with_(a=name)))
        self.layer_panel.regenerate_requested.connect(self.shot_panel.regenerate)
        self.queue_panel.open_asked.connect(self.takes.open_row)
        self.queue_panel.watch_asked.connect(self.takes.watch_row)
        self.queue_panel.compare_asked.connect(self.takes.compare_row)
        self.queue_panel.settings_asked.connect(self.shot_panel.use_request)
        self.actions_by_name.connect(**self._calls())

    def _calls(self) -> dict[str, Callable[[], object]]:
        studio, viewer, takes = self.studio, self.screen_.viewer, self.takes
        return {
            "new_project": self.files.new,
            "open_project": self.files.choose,
            "open_folder": self.files.choose_folder,
            "save_project": self.files.save,
            "save_project_as": self.files.save_as,
            "export": takes.export,
            "copy_nuke": takes.copy_nuke,
            "send_blender": takes.send_to_blender,
            "reveal_take": takes.reveal,
            "quit": self.close,
            "undo": studio.session.undo,
            "redo": studio.session.redo,
            "copy_settings": takes.copy_settings,
            "preferences": self._show_preferences,
            "reset_layers": self.layer_panel.put_all_back,
            "generate": self.shot_panel.generate,
            "regenerate": self.shot_panel.regenerate,
            "cancel_job": takes.cancel,
            "next_take": lambda: takes.step(1),
            "previous_take": lambda: takes.step(-1),
            "compare_takes": takes.compare_with_previous,
            "full_screen": self._toggle_full_screen,
            "fit": viewer.fit,
            "actual_size": viewer.actual_size,
            "shortcuts": lambda: CheatSheet(self).open(),
            "doctor": self._show_doctor,
            "about": takes.about,
        }

    # What the user sees of the state of things.

    def _say(self, text: str) -> None:
        self.statusBar().showMessage(text, _SAY_MS)

    def _show_title(self, title: str) -> None:
        self.setWindowTitle(title)

    def _show_history(self) -> None:
        for name, step, word in (
            ("undo", self.studio.session.history.undo_name, "Undo"),
            ("redo", self.studio.session.history.redo_name, "Redo"),
        ):
            self.actions_by_name[name].setEnabled(bool(step))
            self.actions_by_name[name].setText(f"{word} {step[:1].lower()}{step[1:]}" if step else word)

    def _show_engine(self) -> None:
        self.engine_label.setText(self.studio.engine.text)
        self.engine_label.setToolTip(self.studio.engine.text)

    def _message_button(self, name: str) -> None:
        calls = {OPEN: self.files.choose, TRY: lambda: take_in_example(self.studio), DOCTOR: self._show_doctor}
        calls[name]()

    def _show_doctor(self) -> None:
        dock = self.docks["doctor_dock"]
        if dock.isHidden():
            dock.show()
            self.resizeDocks([dock], [_DOCTOR_PX], Qt.Orientation.Vertical)
        dock.raise_()
        self.doctor_panel.refresh()

    def _show_preferences(self) -> None:
        dialog = PreferencesDialog(self.studio.preferences, self.studio.own_cache_bytes, self)
        dialog.changed.connect(self.studio.set_preferences)
        dialog.open()

    # Full screen, and the end.

    def _toggle_full_screen(self) -> None:
        if self._before_full_screen is None:
            self._before_full_screen = self.saveState()
            for dock in self.docks.values():
                dock.hide()
            self.menuBar().hide()
            self.statusBar().hide()
            self.screen_.set_alone(True)
            self.showFullScreen()
        else:
            self.screen_.set_alone(False)
            self.menuBar().show()
            self.statusBar().show()
            self.restoreState(self._before_full_screen)
            self._before_full_screen = None
            self.showNormal()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Escape comes back from the full screen, else from a preview."""
        if event.key() == Qt.Key.Key_Escape and self._before_full_screen is not None:
            self._toggle_full_screen()
        elif event.key() == Qt.Key.Key_Escape and self.screen_.viewer.is_previewing:
            self.screen_.leave_preview()
        else:
            super().keyPressEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802
        """Asks about what is not saved first; jobs go on in the engine."""
        if not self._may_close:
            self.files.unless_unsaved(self.close_for_good)
        if not self._may_close:  # there is a question, and its answer closes
            event.ignore()
            return
        if self._before_full_screen is not None:
            self._toggle_full_screen()
        keep_window(self)
        self.screen_.release()
        super().closeEvent(event)

    def close_for_good(self) -> None:
        self._may_close = True
        self.close()
