"""The application: one window, and all that it is made of."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QApplication


def run(arguments: Sequence[str]) -> int:
    """Opens the window, with the project or frames in `arguments`; the exit code once it is closed."""
    application = QApplication(["layerflow-desktop", *arguments])
    return application.exec()
