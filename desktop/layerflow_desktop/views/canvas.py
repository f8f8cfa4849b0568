"""The canvas of a viewer: the GPU's where there is one, else that of the CPU."""

from __future__ import annotations

import os
from collections.abc import Mapping

from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget

from layerflow_desktop.views.gl_canvas import GlCanvas, has_opengl
from layerflow_desktop.views.software_canvas import SoftwareCanvas

SOFTWARE = "LAYERFLOW_STUDIO_SOFTWARE"  # set to 1, draws without OpenGL
WITHOUT_OPENGL = ("offscreen", "minimal", "linuxfb", "vnc")  # platforms of Qt

Canvas = GlCanvas | SoftwareCanvas


def make_canvas(parent: QWidget | None = None, environment: Mapping[str, str] = os.environ) -> Canvas:
    """A canvas that works here."""
    is_software = environment.get(SOFTWARE, "0") not in ("", "0")
    if is_software or QGuiApplication.platformName() in WITHOUT_OPENGL or not has_opengl():
        return SoftwareCanvas(parent)
    return GlCanvas(parent)
