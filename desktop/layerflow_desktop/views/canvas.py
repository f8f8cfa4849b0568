"""The canvas of a viewer: the GPU's where there is one, else that of the CPU."""

from __future__ import annotations

import os
from collections.abc import Mapping

from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget

from layerflow_desktop.views.gl_canvas import GlCanvas, renderer
from layerflow_desktop.views.software_canvas import SoftwareCanvas

SOFTWARE = "LAYERFLOW_STUDIO_SOFTWARE"  # 1: draws without OpenGL; 0: by OpenGL, even where that is the CPU again
WITHOUT_OPENGL = ("offscreen", "minimal", "linuxfb", "vnc")  # platforms of Qt
ON_THE_CPU = ("llvmpipe", "softpipe", "swiftshader", "gdi generic", "basic render")  # would hold up the interface

Canvas = GlCanvas | SoftwareCanvas


def make_canvas(parent: QWidget | None = None, environment: Mapping[str, str] = os.environ) -> Canvas:
    """A canvas that works here."""
    wish = environment.get(SOFTWARE, "")
    if wish not in ("", "0") or QGuiApplication.platformName() in WITHOUT_OPENGL:
        return SoftwareCanvas(parent)
    name = renderer()
    is_cpu = any(word in name.lower() for word in ON_THE_CPU)
    return GlCanvas(parent) if name and (wish == "0" or not is_cpu) else SoftwareCanvas(parent)
