"""A tour of the app under an X server, with a picture of every stop: `studio_tour.py FOLDER`.

Run by `test_window_under_x`; the pictures of docs/images come from here. Prints, as JSON, how far the picture in the
window is off what the canvas without a GPU draws, on average over the picture's place.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QImage, QPixmap
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QPlainTextEdit, QToolButton, QWidget
from whole_window import App, app, home

from layerflow_desktop.models.document import ViewSettings
from layerflow_desktop.views.gl_canvas import GlCanvas
from layerflow_desktop.views.software_canvas import SoftwareCanvas

SETTLE_MS = 400
BASE = ViewSettings(display="sRGB - Display", view="Un-tone-mapped")


class Tour:
    """The app, and the folder that its pictures go into."""

    def __init__(self, studio: App, folder: Path) -> None:
        self.studio, self.folder = studio, folder
        self.off: dict[str, float] = {}
        studio.window.setGeometry(0, 0, 1440, 900)
        studio.until(lambda: studio.studio.engine.state == "ready")

    def shoot(self, name: str, has_picture: bool = True) -> None:
        """Keeps what the screen shows, dialogs included."""
        QTest.qWait(SETTLE_MS)
        assert self.studio.viewer.wait_idle()
        QTest.qWait(50)
        image = QApplication.primaryScreen().grabWindow(0).toImage()
        assert image.save(str(self.folder / f"{name}.png"))
        if has_picture:
            self.off[name] = self._off(image)

    def _off(self, image: QImage) -> float:
        viewer = self.studio.viewer
        canvas = SoftwareCanvas()
        canvas.resize(viewer.size())
        canvas.show_scene(viewer._scene, viewer.settings, viewer.framing)
        assert canvas.wait_idle()
        drawn = QPixmap(viewer.size())
        canvas.render(drawn)
        canvas.release()
        place = viewer._picture_place()
        seen = image.copy(QRect(viewer.mapToGlobal(place.topLeft()), place.size()))
        return float(np.abs(pixels(seen) - pixels(drawn.toImage().copy(place))).mean())

    def look(self, **values: object) -> None:
        """Looks at it in that way, and waits for the picture."""
        session = self.studio.studio.session
        settings = BASE.with_(**values)
        session.look(view=settings)
        wants_two = settings.compare != "off"
        self.studio.until(lambda: (scene := self.studio.studio.stage.scene) and (scene.b is not None) == wants_two)

    def watch(self, name: str) -> None:
        """Keeps how a take looks while it is made."""
        pane = self.studio.find(QWidget, "job_preview")
        self.studio.until(lambda: pane.isVisible() and not pane.image.isNull())
        self.shoot(name, has_picture=False)
        assert pane.isVisible(), "it was made before its picture was taken"


def pixels(image: QImage) -> np.ndarray:
    image = image.convertToFormat(QImage.Format.Format_RGB32)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), -1, 4)
    return rows[:, : image.width(), 2::-1].astype(float)


def first_take(tour: Tour) -> None:
    studio = tour.studio
    tour.shoot("first-start", has_picture=False)
    studio.press("message_try")
    studio.made("v001")
    tour.look()
    studio.studio.session.look(timeline=studio.document.timeline.with_(frame=8))
    studio.until(lambda: len(studio.studio.stage.cached_frames()) == 16)
    tour.shoot("result")


def looks(tour: Tour) -> None:
    tour.look(a="foreground", channel="a")
    tour.shoot("alpha")
    tour.look(a="plate", b="comp", compare="wipe", wipe=0.5, wipe_angle=12.0)
    tour.shoot("wipe")
    tour.look(exposure=1.5)
    tour.shoot("exposure")
    tour.look(a="foreground")
    tour.shoot("checkerboard")


def tried_layers(tour: Tour) -> None:
    """A foreground that is moved and made smaller; put back afterwards."""
    tour.look()
    document = tour.studio.document
    front = document.layer("foreground").with_(offset_x=135.0, offset_y=38.0, scale=0.6)
    tour.studio.studio.session.edit("Move foreground", document.with_layer(front))
    tour.studio.window.layer_panel.rows[0].more.setChecked(True)
    tour.shoot("layers")
    tour.studio.window.layer_panel.rows[0].more.setChecked(False)
    tour.studio.do("undo")


def second_take(tour: Tour) -> None:
    """The foreground stays, and the background is made anew: watched while it runs, then compared."""
    studio = tour.studio
    row = studio.window.layer_panel.rows[0]
    QTest.mouseClick(row.findChild(QToolButton, "locked"), Qt.MouseButton.LeftButton)
    studio.find(QPlainTextEdit, "prompt_background").setPlainText("a beach at sunset")
    shot = studio.document.shot.with_(steps=20)
    studio.studio.session.edit("Change steps", studio.document.with_(shot=shot))
    studio.press("regenerate")
    tour.watch("preview")
    studio.made("v002")
    tour.shoot("locked")
    studio.do("compare_takes")
    tour.look(a="comp", b="v001/comp", compare="wipe", wipe=0.5)
    studio.window.queue_panel.select(studio.document.current_take().job)
    tour.shoot("compare")


def windows(tour: Tour) -> None:
    studio = tour.studio
    tour.look()
    for name, command in (("export", "export"), ("keys", "shortcuts")):
        studio.do(command)
        (dialog,) = studio.dialogs()
        tour.shoot(name, has_picture=False)
        dialog.close()
    studio.do("doctor")
    studio.until(lambda: studio.window.doctor_panel.is_healthy)
    tour.shoot("doctor", has_picture=False)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    QApplication(sys.argv[:1])
    with tempfile.TemporaryDirectory() as machine, home(Path(machine)), app() as studio:
        tour = Tour(studio, folder)
        is_gl = isinstance(studio.viewer.canvas, GlCanvas)
        for stop in (first_take, looks, tried_layers, second_take, windows):
            stop(tour)
        print(json.dumps({"is_gl": is_gl, "off": tour.off}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
