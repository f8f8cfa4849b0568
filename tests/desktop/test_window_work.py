"""A day's work in the window, with a real engine: plates, takes, looks, layers, and the project's file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import pytest
import viewer_scenes
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPlainTextEdit
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
