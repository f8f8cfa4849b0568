"""The viewer without OpenGL: what it draws, and what the mouse does."""

from __future__ import annotations

import gc
import threading
import weakref
from dataclasses import replace

import numpy as np
import pytest
import viewer_scenes
from PySide6.QtCore import QBuffer, QByteArray, QEvent, QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent, QImage, QKeyEvent, QWheelEvent
from PySide6.QtWidgets import QApplication, QPushButton, QWidget
from viewer_scenes import HEIGHT, WIDTH

from layerflow_desktop.models.document import ViewSettings
from layerflow_desktop.models.drawing import draw
from layerflow_desktop.models.framing import Framing, fitted
from layerflow_desktop.models.picture import Placed, Scene, Shown
from layerflow_desktop.views import canvas as canvases
from layerflow_desktop.views.gl_canvas import GlCanvas
from layerflow_desktop.views.looks import BESIDE, quick_transform, view_transform
from layerflow_desktop.views.software_canvas import SoftwareCanvas
from layerflow_desktop.views.viewer import Viewer

VIEW = {"display": "sRGB - Display", "view": viewer_scenes.UNTONED}
CASES = dict(viewer_scenes.cases())


@pytest.fixture
def viewer(qtbot):
    made = Viewer()
    qtbot.addWidget(made, before_close_func=Viewer.release)
    made.resize(300, 200)
    made.set_settings(ViewSettings(**VIEW))
    made.show()
    return made


def pixels(image: QImage) -> np.ndarray:
    image = image.convertToFormat(QImage.Format.Format_RGB32)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), -1, 4)
    return rows[:, : image.width(), 2::-1].astype(float)


def at_actual_size(viewer: Viewer) -> np.ndarray:
    """What the window shows of a picture at 1:1."""
    viewer.actual_size()
    assert viewer.wait_idle()
    left, top, right, bottom = viewer.framing.shown()
    return pixels(viewer.canvas.grab().toImage())[top:bottom, left:right]


@pytest.mark.parametrize("name", CASES)
def test_every_look_is_the_recipe(viewer, name):
    scene = viewer_scenes.scene()
    viewer.set_scene(scene)
    viewer.set_settings(CASES[name])
    wanted = viewer_scenes.expected(scene, CASES[name])
    assert np.abs(pixels(viewer.picture_as_shown()) - wanted).max() <= 1
    assert np.abs(at_actual_size(viewer) - wanted).max() <= 1


def test_beside_the_picture_is_neutral(viewer):
    viewer.set_scene(viewer_scenes.scene())
    assert at_actual_size(viewer).shape == (HEIGHT, WIDTH, 3)
    grey = round(BESIDE[0] * 255)
    assert pixels(viewer.canvas.grab().toImage())[0, 0] == pytest.approx([grey] * 3, abs=1)


def test_a_picture_zoomed_in_repeats_its_pixels_but_not_the_checkerboard():
    scene = Scene(8, 6, Shown((Placed(viewer_scenes.layer(1, 3, 8, 6)),)))
    settings = ViewSettings(**VIEW)
    transform = view_transform(settings.display, settings.view, scene.colorspace)
    once = draw(scene, settings, Framing(8, 6, 100, 100), transform)
    large = draw(scene, settings, Framing(8, 6, 100, 100, zoom=5.0, x=-7, y=3), transform)
    assert np.array_equal(large, once.repeat(5, 0).repeat(5, 1)[:, 7:])
    clear = Scene(8, 6, Shown((Placed(np.zeros((6, 8, 4), np.float16)),)))
    board = draw(clear, settings, Framing(8, 6, 100, 100, zoom=5.0), transform)
    assert (board[:12, :12] == board[0, 0]).all()
    assert board[0, 12, 0] > board[0, 0, 0]


def test_a_reduced_picture_is_the_mean():
    values = np.zeros((40, 60, 3), np.float16)
    values[::2] = 1.0
    settings = ViewSettings(**VIEW)
    transform = view_transform(settings.display, settings.view, "ACEScg")
    grey = draw(
        Scene(2, 2, Shown((Placed(np.full((2, 2, 3), 0.5, np.float16)),))), settings, Framing(2, 2, 2, 2), transform
    )
    scene = Scene(60, 40, Shown((Placed(values),)))
    for is_smooth in (False, True):
        drawn = draw(scene, settings, fitted(Framing(60, 40, 30, 20)), transform, is_smooth)
        assert drawn.shape == (20, 30, 3)
        assert np.abs(drawn.astype(int) - grey[0, 0]).max() <= 1


def test_bands_are_the_whole():
    scene = Scene(90, 200, Shown((Placed(viewer_scenes.layer(1, 4, 90, 200)),)))
    settings, framing = ViewSettings(**VIEW), Framing(90, 200, 500, 500, zoom=1.3, x=3.4, y=-20.2)
    transform = view_transform(settings.display, settings.view, "ACEScg")

    def backwards(band, rows):
        return [band(row) for row in reversed(rows)]

    assert np.array_equal(
        draw(scene, settings, framing, transform), draw(scene, settings, framing, transform, side_by_side=backwards)
    )


def test_what_passes_by_looks_nearly_as_what_stays():
    scene = viewer_scenes.scene()
    settings = ViewSettings(display="sRGB - Display", view=viewer_scenes.SDR)
    key = (settings.display, settings.view, scene.colorspace)
    framing = Framing(WIDTH, HEIGHT, WIDTH, HEIGHT)
    passing = draw(scene, settings, framing, quick_transform(*key)).astype(float)
    assert np.abs(passing - draw(scene, settings, framing, view_transform(*key))).mean() < 1


def test_the_second_loop_draws_nothing(viewer, monkeypatch):
    scenes = [viewer_scenes.scene() for _ in range(4)]
    for scene in scenes:
        viewer.set_scene(scene)
        assert viewer.wait_idle()
    monkeypatch.setattr("layerflow_desktop.views.software_canvas.draw", pytest.fail)
    for scene in scenes:  # made anew of the same layers, as the timeline does
        viewer.set_scene(replace(scene))
        assert viewer.wait_idle()
    assert len(viewer.canvas.images) == 4


def test_finished_images_keep_to_their_limit(qtbot):
    canvas = SoftwareCanvas(limit_bytes=3 * WIDTH * HEIGHT * 4)
    qtbot.addWidget(canvas, before_close_func=SoftwareCanvas.release)
    for _ in range(6):
        canvas.show_scene(viewer_scenes.scene(), ViewSettings(**VIEW), Framing(WIDTH, HEIGHT, WIDTH, HEIGHT))
        assert canvas.wait_idle()
    assert len(canvas.images) == 3
    assert canvas.images.num_bytes <= canvas.images.limit_bytes


def test_an_image_is_not_that_of_layers_which_are_gone(viewer):
    scene = viewer_scenes.scene()
    viewer.set_scene(scene)
    assert viewer.wait_idle()
    (ask,) = [viewer.canvas._asked]
    kept = viewer.canvas.images._kept[ask.key]
    gone = weakref.ref(np.zeros(1, np.float16))
    viewer.canvas.images._kept[ask.key] = kept._replace(arrays=(gone,))
    assert viewer.canvas.images.get(ask) is None
    assert len(viewer.canvas.images) == 0


def wheel(viewer: Viewer, at: QPointF, angle: int) -> None:
    event = QWheelEvent(
        at,
        viewer.mapToGlobal(at),
        QPoint(),
        QPoint(0, angle),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(viewer, event)


def test_the_wheel_zooms_about_the_pointer(viewer, qtbot):
    viewer.set_scene(viewer_scenes.scene())
    before = viewer.framing
    with qtbot.waitSignal(viewer.zoom_changed) as told:
        wheel(viewer, QPointF(170, 90), 240)
    assert told.args == [pytest.approx(before.zoom * 2**0.5)]
    assert viewer.framing.pixel_at(170, 90) == before.pixel_at(170, 90)


@pytest.mark.parametrize(
    ("button", "modifier"),
    [
        (Qt.MouseButton.MiddleButton, Qt.KeyboardModifier.NoModifier),
        (Qt.MouseButton.LeftButton, Qt.KeyboardModifier.AltModifier),
    ],
)
def test_a_drag_pans(viewer, qtbot, button, modifier):
    viewer.set_scene(viewer_scenes.scene())
    viewer.actual_size()
    before = viewer.framing
    qtbot.mousePress(viewer, button, modifier, QPoint(150, 100))
    qtbot.mouseMove(viewer, QPoint(170, 90))
    qtbot.mouseRelease(viewer, button, modifier, QPoint(170, 90))
    qtbot.mouseMove(viewer, QPoint(10, 10))
    assert (viewer.framing.x - before.x, viewer.framing.y - before.y) == pytest.approx((20, -10))


def test_space_pans_while_it_is_held_and_tells_when_it_is_tapped(viewer, qtbot):
    viewer.set_scene(viewer_scenes.scene())
    viewer.actual_size()
    before, taps = viewer.framing, []
    viewer.space_tapped.connect(lambda: taps.append(1))
    qtbot.keyPress(viewer, Qt.Key.Key_Space)
    qtbot.mousePress(viewer, Qt.MouseButton.LeftButton, pos=QPoint(150, 100))
    qtbot.mouseMove(viewer, QPoint(155, 100))
    qtbot.mouseRelease(viewer, Qt.MouseButton.LeftButton, pos=QPoint(155, 100))
    qtbot.keyRelease(viewer, Qt.Key.Key_Space)
    assert viewer.framing.x - before.x == pytest.approx(5)
    assert taps == []
    qtbot.keyClick(viewer, Qt.Key.Key_Space)
    assert taps == [1]
    override = QKeyEvent(QEvent.Type.ShortcutOverride, Qt.Key.Key_Space, Qt.KeyboardModifier.NoModifier)
    override.ignore()
    QApplication.sendEvent(viewer, override)
    assert override.isAccepted()  # else a shortcut of the window would take it


def test_keys_and_double_click_go_between_fit_and_actual_size(viewer, qtbot):
    viewer.set_scene(viewer_scenes.scene())
    fit = viewer.framing.zoom
    qtbot.keyClick(viewer, Qt.Key.Key_1, Qt.KeyboardModifier.ControlModifier)
    assert viewer.framing.zoom == 1.0
    qtbot.keyClick(viewer, Qt.Key.Key_F)
    assert viewer.framing.zoom == fit
    for zoom in (1.0, fit):
        with qtbot.waitSignal(viewer.double_clicked):
            qtbot.mouseDClick(viewer, Qt.MouseButton.LeftButton, pos=QPoint(150, 100))
        assert viewer.framing.zoom == zoom


def test_a_fitted_picture_stays_fitted_in_another_size(viewer, qtbot):
    viewer.set_scene(viewer_scenes.scene())
    viewer.resize(600, 400)
    qtbot.waitUntil(lambda: viewer.framing.view_width == 600)
    assert viewer.framing == fitted(viewer.framing)


def test_the_next_frame_keeps_the_zoom(viewer):
    viewer.set_scene(viewer_scenes.scene())
    viewer.set_zoom(3.0)
    before = viewer.framing
    viewer.set_scene(viewer_scenes.scene())
    assert viewer.framing == before


def test_the_pointer_tells_the_pixel(viewer, qtbot):
    viewer.set_scene(viewer_scenes.scene())
    viewer.actual_size()
    told: list[tuple[int, int] | None] = []
    viewer.pointer_moved.connect(lambda x, y: told.append((x, y)))
    viewer.pointer_left.connect(lambda: told.append(None))
    left, top = viewer.framing.left, viewer.framing.top
    for at in (QPoint(left + 7, top + 3), QPoint(left - 5, top), QPoint(left - 9, top)):
        qtbot.mouseMove(viewer, at)
    assert told == [(7, 3), None]


def test_the_line_of_a_wipe_is_dragged(viewer, qtbot):
    viewer.set_scene(viewer_scenes.scene())
    viewer.set_settings(ViewSettings(compare="wipe", wipe=0.5, **VIEW))
    told: list[ViewSettings] = []
    viewer.settings_changed.connect(told.append)
    start = viewer._wipe_line().pivot.toPoint() - QPoint(0, 60)
    aim = QPoint(round(viewer.framing.to_screen(WIDTH * 0.75, 0)[0]), start.y())
    qtbot.mousePress(viewer, Qt.MouseButton.LeftButton, pos=start)
    qtbot.mouseMove(viewer, aim)
    qtbot.mouseRelease(viewer, Qt.MouseButton.LeftButton, pos=aim)
    assert told[-1].wipe == pytest.approx(0.75, abs=0.01)
    assert told[-1].wipe_angle == 0.0
    assert viewer.settings == told[-1]


def test_the_knob_of_a_wipe_turns_it_about_its_middle(viewer, qtbot):
    viewer.set_scene(viewer_scenes.scene())
    viewer.set_settings(ViewSettings(compare="wipe", wipe=0.4, **VIEW))
    line = viewer._wipe_line()
    aim = (line.pivot + QPointF(-60, 0)).toPoint()
    qtbot.mousePress(viewer, Qt.MouseButton.LeftButton, pos=line.knob.toPoint())
    qtbot.mouseMove(viewer, aim)
    qtbot.mouseRelease(viewer, Qt.MouseButton.LeftButton, pos=aim)
    assert viewer.settings.wipe_angle == pytest.approx(90, abs=1)
    assert viewer._wipe_line().is_on_line(line.pivot)


def test_files_are_dropped(viewer, qtbot, tmp_path):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(tmp_path / "plate.0001.exr")), QUrl("https://example.org/no")])
    event = QDropEvent(
        QPointF(5, 5),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    with qtbot.waitSignal(viewer.files_dropped) as told:
        viewer.dropEvent(event)
    assert told.args == [[str(tmp_path / "plate.0001.exr")]]


def test_labels_say_what_is_seen(viewer):
    scene = viewer_scenes.scene()
    viewer.set_scene(scene)
    assert viewer._a_tag.text() == "comp"
    assert viewer._b_tag.isHidden()
    viewer.set_settings(ViewSettings(compare="wipe", **VIEW))
    assert (viewer._a_tag.text(), viewer._b_tag.text()) == ("A  comp", "B  plate")
    assert viewer._frame_tag.text() == "1001"
    viewer.set_probe_text("0.18 0.18 0.18")
    assert viewer._probe_tag.isVisible()
    viewer.set_scene(None)
    assert viewer._a_tag.isHidden()
    assert viewer._frame_tag.isHidden()
    assert viewer.picture_as_shown().isNull()


def test_a_message_has_buttons(viewer, qtbot):
    viewer.set_message("No take yet", "Drop a plate here.", [("open", "Open…"), ("example", "Use the example")])
    button = viewer.findChild(QPushButton, "message_example")
    assert button.isVisible()
    with qtbot.waitSignal(viewer.message_button) as told:
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert told.args == ["example"]
    viewer.set_message("")
    assert not button.isVisible()


def test_a_preview_is_shown_in_the_pictures_place(viewer):
    viewer.set_scene(viewer_scenes.scene())
    held = QByteArray()
    buffer = QBuffer(held)
    image = QImage(32, 24, QImage.Format.Format_RGB32)
    image.fill(Qt.GlobalColor.red)
    image.save(buffer, "JPG")
    viewer.show_preview(held.data(), "Step 3 of 20")
    assert viewer.wait_idle()
    pane = viewer._preview_pane
    assert pane.isVisible()
    assert pane.geometry() == viewer._preview_place()
    assert pane.caption.text() == "Step 3 of 20"
    assert pixels(viewer.grab().toImage())[100, 150] == pytest.approx([254, 0, 0], abs=2)
    viewer.clear_preview()
    assert pane.isHidden()


def test_a_colour_space_that_is_not_there_is_said(viewer, qtbot):
    with qtbot.waitSignal(viewer.failed) as told:
        viewer.set_scene(replace(viewer_scenes.scene(), colorspace="no such space"))
    assert "no such space" in told.args[0]


@pytest.mark.parametrize(("wish", "name", "kind"), [("1", "GPU", "software"), ("", "llvmpipe (LLVM)", "software")])
def test_the_software_canvas_is_taken_where_the_gpu_is_not(qtbot, monkeypatch, wish, name, kind):
    monkeypatch.setattr(canvases, "WITHOUT_OPENGL", ())
    monkeypatch.setattr(canvases, "renderer", lambda: name)
    made = canvases.make_canvas(None, {canvases.SOFTWARE: wish})
    qtbot.addWidget(made, before_close_func=type(made).release)
    assert made.kind == kind


def test_a_gpu_that_draws_nothing_is_done_without(qtbot):
    made = Viewer(make=GlCanvas)
    qtbot.addWidget(made, before_close_func=Viewer.release)
    made.resize(300, 200)
    made.set_settings(CASES[f"{viewer_scenes.SDR} wipe"])
    made.set_scene(viewer_scenes.scene())
    with qtbot.waitSignal(made.failed) as told:
        made.canvas.broken.emit("the GPU's driver takes no shader of the viewer")
    assert told.args[0].startswith("the GPU's driver")
    made.show()
    wanted = viewer_scenes.expected(viewer_scenes.scene(), made.settings)
    assert np.abs(at_actual_size(made) - wanted).max() <= 1
    assert isinstance(made.canvas, SoftwareCanvas)


def test_nothing_is_left_of_a_viewer(qtbot):
    gc.collect()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    before, threads = len(QApplication.allWidgets()), threading.active_count()
    parent = QWidget()
    made = Viewer(parent)
    made.show_preview(b"not a picture")
    made.set_scene(viewer_scenes.scene())
    made.set_message("Title", "Text", [("a", "A")])
    assert made.wait_idle()
    gone = weakref.ref(made)
    parent.deleteLater()
    del made, parent
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    gc.collect()
    assert gone() is None
    assert len(QApplication.allWidgets()) == before
    qtbot.waitUntil(lambda: threading.active_count() <= threads)  # those of the viewer end with it
