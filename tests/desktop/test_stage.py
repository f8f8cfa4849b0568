"""From the project to scenes: what is opened, waited for, shown instead, and let go of."""

from __future__ import annotations

import time
from collections import deque

import pytest
from desktop_frames import HEIGHT, WIDTH, write_layers, write_plate

from layerflow_desktop.controllers.background import Background
from layerflow_desktop.controllers.session import Session
from layerflow_desktop.controllers.stage import Stage
from layerflow_desktop.models.cache import FrameCache
from layerflow_desktop.models.document import Document, ShotSettings, Take


class Bench:
    """A stage with threads and a cache, and calls made when a test turns to them."""

    def __init__(self, document, limit_bytes=2**20):
        self.calls = deque()
        self.session = Session(document)
        self.said = []
        self.session.said.connect(self.said.append)
        self.background = Background(self.calls.append)
        self.cache = FrameCache(limit_bytes)
        self.stage = Stage(self.session, self.background, self.cache, self.calls.append)
        self.scenes = [self.stage.scene]
        self.stage.scene_changed.connect(self.scenes.append)

    def until(self, found):
        ends_at = time.monotonic() + 20
        while not found():
            assert time.monotonic() < ends_at, (self.said, self.stage.scene)
            if self.calls:
                self.calls.popleft()()
            else:
                time.sleep(0.002)

    def go(self, frame):
        self.session.look(timeline=self.session.document.timeline.with_(frame=frame))

    def close(self):
        self.background.close()
        self.cache.close()


@pytest.fixture
def bench():
    made = []

    def make(document, **options):
        made.append(Bench(document, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def project(tmp_path, frames=(1, 2, 3), plate_frames=(1, 2, 3), **view):
    pattern = write_layers(tmp_path / "out", frames) if frames else str(tmp_path / "out/dog_v001.%04d.exr")
    plate = write_plate(tmp_path / "plate", plate_frames)
    document = Document(
        shot=ShotSettings(task="decompose", plate=plate),
        takes=(Take(name="v001", pattern=pattern, key="k"),),
        take="v001",
    )
    return document.with_(view=document.view.with_(**view))


def test_the_comp_of_a_take_becomes_a_scene_with_its_layers_in_the_panel(bench, tmp_path):
    it = bench(project(tmp_path))
    it.until(lambda: it.stage.scene is not None)
    assert [layer.name for layer in it.session.document.layers] == ["foreground", "background"]
    it.until(lambda: len(it.stage.scene.a.layers) == 2)
    assert (it.stage.scene.width, it.stage.scene.height, it.stage.scene.frame) == (WIDTH, HEIGHT, 1)
    assert it.stage.frames == (1, 2, 3)
    assert it.stage.main.layers


def test_all_there_is_to_look_at_is_told(bench, tmp_path):
    it, told = bench(project(tmp_path)), []
    it.stage.sources_changed.connect(lambda sources: told.append([source.id for source in sources]))
    it.until(lambda: it.stage.scene is not None and told)
    assert told[-1] == ["comp", "plate", "blended", "foreground", "background"]


def test_a_frame_that_comes_again_is_the_very_same_scene(bench, tmp_path):
    it = bench(project(tmp_path))
    it.until(lambda: it.stage.is_ready(1) and it.stage.is_ready(2) and it.stage.scene)
    first = it.stage.scene
    it.go(2)
    assert it.stage.scene.frame == 2
    it.go(1)
    assert it.stage.scene is first


def test_no_scene_outlives_its_pictures(bench, tmp_path):
    one = HEIGHT * WIDTH * 2 * 11
    it = bench(project(tmp_path, frames=range(1, 9)), limit_bytes=3 * one)
    for frame in range(1, 9):
        it.go(frame)
        it.until(lambda frame=frame: it.stage.scene is not None and it.stage.scene.frame == frame)
    it.until(lambda: not it.calls)
    assert {scene.frame for scene in it.stage._scenes.values()} <= it.stage.cached_frames() | {8}
    assert it.cache.num_bytes <= 3 * one


def test_a_comparison_waits_for_both_sides(bench, tmp_path):
    it = bench(project(tmp_path, compare="wipe", b="plate"))
    it.until(lambda: it.stage.scene is not None)
    assert it.stage.scene.b.name == "Plate"
    assert all(scene is None or scene.b is not None for scene in it.scenes)


def test_a_plate_without_that_frame_leaves_the_comp(bench, tmp_path):
    it = bench(project(tmp_path, plate_frames=(1, 2), compare="wipe", b="plate"))
    it.until(lambda: it.stage.scene is not None)
    it.go(3)
    it.until(lambda: it.stage.scene.frame == 3)
    assert it.stage.scene.b is None


def test_the_plate_is_shown_until_the_layers_are_made(bench, tmp_path):
    it = bench(project(tmp_path, frames=()))
    it.until(lambda: it.stage.scene is not None)
    assert it.stage.scene.a.name == "Plate"
    assert it.said == []  # frames of a job are only just being made
    write_layers(tmp_path / "out", (1, 2))
    it.stage.reload(it.session.document.takes[0].pattern)
    it.until(lambda: it.stage.scene.a.name == "Comp")


def test_frames_that_a_job_writes_are_seen_and_those_in_memory_stay(bench, tmp_path):
    it = bench(project(tmp_path, frames=(1, 2)))
    it.until(lambda: it.stage.is_ready(1) and it.stage.is_ready(2) and it.stage.scene)
    before = it.stage.layers_at(1)
    write_layers(tmp_path / "out", (3,))
    it.stage.reload(it.session.document.takes[0].pattern)
    it.until(lambda: it.stage.frames == (1, 2, 3))
    assert it.stage.layers_at(1)["foreground"] is before["foreground"]


def test_layers_that_are_moved_are_in_the_next_scene(bench, tmp_path):
    it = bench(project(tmp_path))
    it.until(lambda: it.stage.scene is not None and len(it.session.document.layers) == 2)
    moved = it.session.document.layer("foreground").with_(offset_x=3, opacity=0.5)
    it.session.edit("Move foreground", it.session.document.with_layer(moved))
    assert (it.stage.scene.a.layers[0].offset_x, it.stage.scene.a.layers[0].opacity) == (3, 0.5)


def test_what_cannot_be_opened_is_one_sentence(bench, tmp_path):
    document = Document(shot=ShotSettings(task="decompose", plate=str(tmp_path / "nothing.####.png")))
    it = bench(document)
    it.until(lambda: it.said)
    assert "nothing" in it.said[0] and it.stage.scene is None


def test_a_damaged_frame_is_named_and_the_others_play(bench, tmp_path):
    document = project(tmp_path)
    path = tmp_path / "out/dog_v001.0002.exr"
    path.write_bytes(path.read_bytes()[:200])
    it = bench(document)
    it.until(lambda: it.stage.scene is not None)
    it.go(2)
    it.until(lambda: it.said)
    assert "2" in it.said[-1]
    it.go(3)
    it.until(lambda: it.stage.scene is not None and it.stage.scene.frame == 3)


def test_another_take_is_compared_as_it_was_made(bench, tmp_path):
    document = project(tmp_path, compare="wipe", b="v002/comp")
    other = Take(name="v002", pattern=write_layers(tmp_path / "out", (1, 2, 3), "dog_v002", 0.75))
    it = bench(document.with_(takes=(*document.takes, other)))
    it.until(lambda: it.stage.scene is not None and it.session.document.layers)
    moved = it.session.document.layer("foreground").with_(offset_x=3)
    it.session.edit("Move foreground", it.session.document.with_layer(moved))
    assert it.stage.scene.b.layers[0].offset_x == 0
    assert it.stage.scene.b.name == "v002"
