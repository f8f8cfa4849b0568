"""Where the window and its panels were."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, QSettings
from PySide6.QtWidgets import QMainWindow

from layerflow_desktop.models.files import studio_folder

_VERSION = 1  # of the panels: another one begins anew


def _settings() -> QSettings:
    return QSettings(str(studio_folder() / "window.ini"), QSettings.Format.IniFormat)


def keep_window(window: QMainWindow) -> None:
    """Keeps where the window and its panels are."""
    settings = _settings()
    settings.setValue("geometry", window.saveGeometry())
    settings.setValue("state", window.saveState(_VERSION))
    settings.sync()


def restore_window(window: QMainWindow) -> bool:
    """Puts window and panels where they were; False where nothing is known."""
    settings = _settings()
    geometry, state = settings.value("geometry"), settings.value("state")
    if not isinstance(geometry, QByteArray) or not isinstance(state, QByteArray):
        return False
    return window.restoreGeometry(geometry) and window.restoreState(state, _VERSION)
