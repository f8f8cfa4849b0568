"""The application: one window, and all that it is made of."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import TracebackType

from PySide6.QtCore import QCoreApplication, QEvent, QObject, QTimer
from PySide6.QtGui import QFileOpenEvent
from PySide6.QtWidgets import QApplication

from layerflow_desktop.controllers.studio import Studio
from layerflow_desktop.views.first_start import FirstStart
from layerflow_desktop.views.icons import app_icon
from layerflow_desktop.views.main_window import MainWindow
from layerflow_desktop.views.post import Poster
from layerflow_desktop.views.theme import dress

DESKTOP_FILE = "layerflow-studio"
SWITCH_S = 0.001  # after so long a thread lets others go on: the interface's stops for that at every call of Qt
_GLANCE_MS = 500


def run(arguments: Sequence[str]) -> int:
    """Opens the window, with the project or frames in `arguments`; the exit code once it is closed."""
    sys.setswitchinterval(SWITCH_S)
    application = make_application()
    poster = Poster()
    studio = Studio(poster)
    window = MainWindow(studio)
    _say_own_mistakes(studio)
    glance = _end_on_signals(window)
    application.installEventFilter(_Finder(window))
    studio.open()
    window.show()
    if not window.was_restored:
        FirstStart(studio, window.doctor_panel, window.docks["doctor_dock"])
    _begin(window, arguments)
    code = application.exec()
    glance.stop()
    studio.close()
    sys.excepthook = sys.__excepthook__
    return code


class _Finder(QObject):
    """Opens what macOS asks the app to: files come as events there, and not as arguments."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """True for such an event, which is done with then."""
        if isinstance(event, QFileOpenEvent):
            self._window.files.open([event.file()])
            return True
        return False


def make_application() -> QApplication:
    """Qt's application with our name, icon and look."""
    QCoreApplication.setOrganizationName("LayerFlow")
    QCoreApplication.setApplicationName("LayerFlow Studio")
    existing = QApplication.instance()
    application = existing if isinstance(existing, QApplication) else QApplication(["layerflow-desktop"])
    application.setDesktopFileName(DESKTOP_FILE)
    application.setWindowIcon(app_icon())
    dress(application)
    return application


def _begin(window: MainWindow, arguments: Sequence[str]) -> None:
    """Opens what was given; else what an app that was killed has left."""
    if arguments:
        window.files.open(arguments)
        return
    studio = window.studio
    studio.background.run(
        studio.autosave.recoverable, lambda found: studio.projects.recover(found[0]) if found else None
    )


def _say_own_mistakes(studio: Studio) -> None:
    """Has a mistake of ours end in the status line and on the terminal, and not in a window that is gone."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        traceback.print_exception(kind, error, trace)
        studio.session.say(f"Something went wrong in the app itself ({error}); save, and tell us what you did.")

    sys.excepthook = hook


def _end_on_signals(window: MainWindow) -> QTimer:
    """Has Ctrl-C in a terminal and a polite end of the session close the window; the timer lets Python notice."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: window.close_for_good())
    timer = QTimer()
    timer.timeout.connect(lambda: None)
    if os.name == "posix":
        timer.start(_GLANCE_MS)
    return timer
