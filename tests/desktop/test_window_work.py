"""A day's work in the window, with a real engine: plates, takes, looks, layers, and the project's file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import pytest
import viewer_scenes
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPlainTextEdit, QToolButton, QWidget
from whole_window import App, app, example_frames, home, planes

from layerflow import color, comp, exr, layers
from layerflow_desktop.models.document import Take, ViewSettings

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def studio(qapp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The app after a plate was dropped and one take of it was made."""
    folder = tmp_path_factory.mktemp("work")
    with home(folder), app() as opened:
        opened.folder = folder
        yield opened


@pytest.fixture(scope="module")
def first(studio: App):
    """The first take: a plate is dropped on the viewer, words are typed, and Generate is pressed."""
    plate = example_frames(studio.folder / "plates")
    studio.drop(studio.viewer, plate)
    studio.until(lambda: studio.studio.stage.scene is not None)
    assert studio.document.shot.task == "decompose"
    assert studio.studio.stage.frames == tuple(range(1001, 1009)) and studio.document.timeline.frame == 1001
    prompt = studio.find(QPlainTextEdit, "prompt_foreground")
    prompt.setFocus()
    QTest.keyClicks(prompt, "a parrot")  # with letters that are commands elsewhere
    assert studio.document.shot.foreground == "a parrot"
    assert (studio.document.view.channel, studio.document.view.compare) == ("rgb", "off")
    studio.press("shot_generate")
    return studio.made("v001")


def test_a_dropped_sequence_becomes_layers(studio: App, first) -> None:
    assert Path(first.pattern % 1001).exists() and Path(first.pattern % 1008).exists()
    assert {"foreground.A", "background.R"} <= planes(first, 1001).keys()
    assert not studio.dialogs()


def looks() -> Iterator[tuple[str, dict]]:
    base = {"display": "sRGB - Display", "view": viewer_scenes.SDR}
    yield "comp", {**base}
    yield "exposure", {**base, "exposure": 1.5, "gamma": 1.2}
    yield "alpha", {**base, "a": "foreground", "channel": "a"}
    yield "straight", {**base, "a": "foreground", "alpha": "straight"}
    yield "over black", {**base, "a": "foreground", "background": "black"}
    yield "wipe", {**base, "a": "plate", "b": "comp", "compare": "wipe", "wipe": 0.4, "wipe_angle": 20.0}
    yield "difference", {**base, "a": "plate", "b": "comp", "compare": "difference", "exposure": 4.0}


@pytest.mark.parametrize("name", [name for name, _ in looks()])
def test_what_is_seen_is_what_the_engine_makes_of_the_files(studio: App, first: Take, name: str) -> None:
    settings = ViewSettings(**dict(looks())[name])
    look(studio, settings, 1003)
    off = np.abs(studio.picture() - expected(studio, first, 1003, settings))
    assert off.max() <= 1, (off.max(), np.argwhere(off > 1)[:3])


def look(studio: App, settings: ViewSettings, frame: int) -> None:
    """Looks at a frame in that way, and waits until it is there."""
    session, stage = studio.studio.session, studio.studio.stage
    session.look(view=settings, timeline=session.document.timeline.with_(frame=frame))

    def is_there() -> bool:
        scene = stage.scene
        return scene is not None and scene.frame == frame and (scene.b is not None) == (settings.compare != "off")

    studio.until(is_there)


def expected(studio: App, take: Take, frame: int, settings: ViewSettings, of: comp.Comp | None = None) -> np.ndarray:
    """The bytes of the picture, of what the engine reads and lays over each other."""
    a = side(studio, take, frame, settings.a, of)
    b = side(studio, take, frame, settings.b, of) if settings.compare != "off" else None
    return viewer_scenes.bytes_of(a, b, settings)


def side(studio: App, take: Take, frame: int, name: str, of: comp.Comp | None) -> np.ndarray:
    """One side of what is looked at: [H, W, 4] premultiplied, scene-linear."""
    if name == "plate":
        display = oiio.ImageBuf(str(studio.folder / "plates" / f"parrot.{frame:04d}.png")).get_pixels(oiio.FLOAT)
        light = color.from_display(display[None], "ACEScg")[0].astype(np.float16)  # as a clip keeps it
        return layers.with_opaque_alpha(light.astype(np.float32))
    other, _, part = name.rpartition("/")
    take = studio.document.take_named(other) or take
    stack = exr.read_stack([Path(take.pattern % frame)])
    if part == "comp":
        picture = layers.recompose(stack) if of is None else comp.comped(stack, of).layers["blended"]
        return layers.with_opaque_alpha(picture[0])
    return layers.premultiply(layers.with_opaque_alpha(stack.layers[part][0]))


def test_a_moved_foreground_is_seen_where_the_engine_would_put_it(studio: App, first: Take) -> None:
    placement = {"opacity": 0.8, "offset_x": 21.5, "offset_y": -9.0, "scale": 1.15}
    base = ViewSettings(display="sRGB - Display", view=viewer_scenes.UNTONED)
    document = studio.document
    layer = document.layer("foreground")
    studio.studio.session.edit("Move foreground", document.with_layer(layer.with_(**placement)))
    look(studio, base, 1004)
    of = comp.Comp(layers=(comp.Placement(name="foreground", **placement), comp.Placement(name="background")))
    off = np.abs(studio.picture() - expected(studio, first, 1004, base, of))
    assert off.max() <= 1
    moved_picture = studio.picture()

    studio.do("undo")
    assert studio.document.layer("foreground") == layer
    assert np.abs(studio.picture() - expected(studio, first, 1004, base)).max() <= 1
    studio.do("redo")
    assert (studio.picture() == moved_picture).all()
    studio.do("reset_layers")
    assert studio.document.layer("foreground") == layer


def test_the_rest_is_made_again_and_the_locked_layer_stays_to_the_bit(studio: App, first: Take) -> None:
    row = studio.window.layer_panel.rows[0]
    assert row.name == "foreground"
    lock = next(each for each in row.findChildren(QToolButton) if "ock" in each.accessibleName())
    QTest.mouseClick(lock, Qt.MouseButton.LeftButton)
    assert studio.document.layer("foreground").locked
    prompt = studio.find(QPlainTextEdit, "prompt_background")
    prompt.setPlainText("a beach at night")
    studio.press("regenerate")
    second = studio.made("v002")
    for frame in range(1001, 1009):
        before, after = planes(first, frame), planes(second, frame)
        assert all((before[f"foreground.{each}"] == after[f"foreground.{each}"]).all() for each in "RGBA")
    assert any((before[f"background.{each}"] != after[f"background.{each}"]).any() for each in "RGB")

    studio.do("compare_takes")
    view = studio.document.view
    assert (view.a, view.b, view.compare) == ("comp", "v001/comp", "wipe")
    settings = view.with_(display="sRGB - Display", view=viewer_scenes.SDR, wipe=0.3)
    look(studio, settings, 1002)
    assert np.abs(studio.picture() - expected(studio, second, 1002, settings)).max() <= 1
    studio.do("previous_take")
    assert studio.document.take == "v001"
    studio.do("compare_off")


def test_a_running_take_is_watched_cancelled_and_retried(studio: App, first: Take) -> None:
    shot = studio.document.shot.with_(steps=60, refine="off", first_frame=1001, last_frame=1004)
    studio.studio.session.edit("Change steps", studio.document.with_(shot=shot))
    name = f"v{len(studio.document.takes) + 1:03d}"
    pane = studio.find(QWidget, "job_preview")
    studio.do("generate")
    studio.until(lambda: pane.isVisible() and not pane.image.isNull())
    assert studio.progress(name) > 0
    assert pane.caption.text().startswith("Blended so far: ")
    assert not studio.find(QWidget, "viewer_message").isVisible()

    QTest.keyClick(studio.viewer, Qt.Key.Key_Escape)
    assert not pane.isVisible() and studio.progress(name) > 0
    studio.window.takes.watch_row(studio.row(studio.document.take_named(name)))
    studio.until(pane.isVisible)

    QTest.keyClick(studio.viewer, Qt.Key.Key_Period, Qt.KeyboardModifier.ControlModifier)
    take = studio.document.take_named(name)
    studio.until(lambda: studio.row(take).state == "cancelled")
    studio.until(lambda: not pane.isVisible())
    assert any("was cancelled" in text for text in studio.said)
    studio.window.queue_panel.select(take.job)
    studio.press("queue_retry_button")
    studio.made(name)
    assert studio.studio.stage.frames == (1001, 1002, 1003, 1004)
    assert not pane.isVisible()


def test_a_project_is_saved_moved_and_opened_again(studio: App, first: Take) -> None:
    folder = studio.folder / "project"
    folder.mkdir()
    studio.studio.projects.save_as(folder / "dog.lfstudio")
    studio.until(lambda: studio.studio.session.is_saved)
    assert studio.window.windowTitle() == "dog.lfstudio – LayerFlow Studio"
    saved = studio.document
    studio.window.files.new()
    assert not studio.document.takes and not studio.window.layer_panel.rows
    studio.window.files.open([str(folder / "dog.lfstudio")])
    studio.until(lambda: studio.document.takes)
    assert studio.document.model_dump_json() == saved.model_dump_json()
    studio.until(lambda: studio.studio.stage.scene is not None)

    name = f"v{len(saved.takes) + 1:03d}"
    shot = saved.shot.with_(steps=None, output="", task="decompose")
    studio.studio.session.edit("Beside the project", saved.with_(shot=shot))
    studio.do("generate")
    take = studio.made(name)
    assert Path(take.pattern).parent == folder / "dog"
    studio.do("save_project")
    studio.until(lambda: studio.studio.session.is_saved)
    studio.window.files.new()
    there = folder.rename(studio.folder / "elsewhere")
    studio.window.files.open([str(there / "dog.lfstudio")])
    studio.until(lambda: studio.document.take == name and studio.studio.stage.scene is not None)
    assert Path(studio.document.current_take().pattern).parent == there / "dog"
    assert studio.studio.stage.main.text == studio.document.current_take().pattern
