"""The icon of the window."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSize
from PySide6.QtGui import QIcon

FOLDER = Path(__file__).parents[1] / "icons"
SIZES = (16, 32, 48, 64, 128, 256, 512)  # pixels


def app_icon() -> QIcon:
    """LayerFlow Studio's, in all its sizes. Needs an application."""
    icon = QIcon()
    for size in SIZES:
        icon.addFile(str(FOLDER / f"layerflow-studio-{size}.png"), QSize(size, size))
    return icon
