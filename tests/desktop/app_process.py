"""The app in a process of its own, which presses "Try the example" for itself: run by `test_window_crash`."""

from __future__ import annotations

import sys

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QPushButton

from layerflow_desktop.views import application


def press() -> None:
    for widget in QApplication.allWidgets():
        if isinstance(widget, QPushButton) and widget.objectName() == "message_try" and widget.isVisible():
            widget.click()


def main() -> int:
    application.make_application()
    QTimer.singleShot(300, press)
    return application.run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
