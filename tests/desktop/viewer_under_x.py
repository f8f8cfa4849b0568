"""What the GPU's canvas shows, as JSON: run under an X server by `test_gl_viewer`."""

from __future__ import annotations

import gc
import json
import sys
from typing import Any

import numpy as np
import viewer_scenes
from PySide6.QtCore import QEvent
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication, QMainWindow
from viewer_scenes import HEIGHT, WIDTH

from layerflow_desktop.models.document import ViewSettings
from layerflow_desktop.models.picture import Placed, Scene, Shown
from layerflow_desktop.views.gl_canvas import GlCanvas
from layerflow_desktop.views.viewer import Viewer


def pixels(image: QImage) -> np.ndarray:
    image = image.convertToFormat(QImage.Format.Format_RGB32)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), -1, 4)
    return rows[:, : image.width(), 2::-1].astype(float)


def looks(viewer: Viewer, names: str = "") -> dict[str, list[float]]:
    """How far each look with `names` in its name is off the recipe: the picture at 1:1, and what is in the window."""
    off = {}
    scene = viewer_scenes.scene()
    viewer.set_scene(scene)
    viewer.actual_size()
    left, top, right, bottom = viewer.framing.shown()
    for name, settings in viewer_scenes.cases():
        if names not in name:
            continue
        viewer.set_settings(settings)
        wanted = viewer_scenes.expected(scene, settings)
        window = pixels(viewer.canvas.grabFramebuffer())[top:bottom, left:right]
        shown = pixels(viewer.picture_as_shown())
        off[name] = [float(np.abs(shown - wanted).max()), float(np.abs(window - wanted).max())]
    return off


def reduced(viewer: Viewer) -> float:
    """How far a fine pattern that is shown small is off its mean."""
    settings = ViewSettings(display="sRGB - Display", view=viewer_scenes.UNTONED)
    values = np.zeros((800, 1200, 3), np.float16)
    values[::2] = 1.0
    viewer.set_settings(settings)
    viewer.set_scene(Scene(1200, 800, Shown((Placed(values),))))
    viewer.set_zoom(0.25)
    left, top, right, bottom = viewer.framing.shown()
    inside = pixels(viewer.canvas.grabFramebuffer())[top + 2 : bottom - 2, left + 2 : right - 2]
    grey = Scene(1, 1, Shown((Placed(np.full((1, 1, 3), 0.5, np.float16)),)))
    return float(np.abs(inside - viewer_scenes.expected(grey, settings)[0, 0]).max())


def textures(viewer: Viewer) -> list[int]:
    """How many layers are on the GPU: after many, with a small limit; and once they are out of memory."""
    painter = viewer.canvas.painter
    painter.textures.limit_bytes = 4 * WIDTH * HEIGHT * 8
    for seed in range(12):
        viewer.set_scene(Scene(WIDTH, HEIGHT, Shown((Placed(viewer_scenes.layer(seed)),))))
        viewer.canvas.grabFramebuffer()
    counts = [len(painter.textures)]
    viewer.set_scene(None)
    viewer.canvas.grabFramebuffer()
    gc.collect()
    viewer.set_scene(viewer_scenes.scene())
    viewer.canvas.grabFramebuffer()
    return [*counts, len(painter.textures)]


def moved_to_another_window(viewer: Viewer, window: QMainWindow) -> list[float]:
    """How far the picture is off after its context went and came again, as for full screen."""
    before = viewer.canvas.painter
    settings = viewer.settings.with_(background="black")
    viewer.set_settings(settings)
    window.setCentralWidget(viewer)
    window.show()
    QApplication.processEvents()
    QApplication.processEvents()
    wanted = viewer_scenes.expected(viewer_scenes.scene(), settings)
    off = float(np.abs(pixels(viewer.picture_as_shown()) - wanted).max())
    return [off, len(before.textures) if before is not viewer.canvas.painter else 0]


def left_over(viewer: Viewer, window: QMainWindow, num_before: int) -> list[int]:
    """What is there of it once it is gone: layers on the GPU, and widgets."""
    painter = viewer.canvas.painter
    viewer.canvas.grabFramebuffer()
    window.deleteLater()
    del viewer, window
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    gc.collect()
    return [len(painter.textures), len(QApplication.allWidgets()) - num_before]


def main() -> None:
    application = QApplication(sys.argv)
    num_before = len(application.allWidgets())
    viewer = Viewer()
    viewer.resize(640, 480)
    viewer.show()
    QApplication.processEvents()
    answer: dict[str, Any] = {"kind": viewer.canvas.kind, "is_gl": isinstance(viewer.canvas, GlCanvas)}
    if sys.argv[1:] == ["scaled"]:
        print(json.dumps({"ratio": viewer.devicePixelRatioF(), "looks": looks(viewer, "wipe")}))
        viewer.release()
        return
    answer["looks"] = looks(viewer)
    answer["reduced"] = reduced(viewer)
    answer["textures"] = textures(viewer)
    window = QMainWindow()
    answer["moved"] = moved_to_another_window(viewer, window)
    answer["left_over"] = left_over(viewer, window, num_before)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
