"""The app without its window and without an engine: what is opened, looked at and kept."""

from __future__ import annotations

import threading
import time
from collections import deque

import pytest
from desktop_frames import write_layers, write_plate

from layerflow_desktop.controllers.studio import Studio
from layerflow_desktop.models.document import Take
from layerflow_desktop.models.preferences import GIB, Preferences, load_preferences


class Home:
    """A studio whose calls into the interface's thread are made when a test turns to them."""

    def __init__(self):
        self.calls = deque()
        self.studio = Studio(self.calls.append)
        self.said = []
        self.studio.session.said.connect(self.said.append)

    def until(self, found):
        ends_at = time.monotonic() + 20
        while not found():
            assert time.monotonic() < ends_at, self.said
            if self.calls:
                self.calls.popleft()()
            else:
                time.sleep(0.002)


@pytest.fixture
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("LAYERFLOW_STUDIO", str(tmp_path / "studio"))
    before = set(threading.enumerate())
    made = Home()
    yield made
    made.studio.close()
    made.until(lambda: set(threading.enumerate()) <= before)


def test_a_plate_is_looked_at_from_its_first_frame(home, tmp_path):
    studio = home.studio
    studio.open_plate(write_plate(tmp_path / "one", range(7, 10)))
    home.until(lambda: studio.stage.scene is not None)
    document = studio.session.document
    assert (document.timeline.frame, document.shot.task, document.view.a) == (7, "decompose", "plate")
    assert home.said[0].startswith("Opened plate.####.png")
    studio.playback.mark_in(8)
    studio.open_plate(write_plate(tmp_path / "other", range(3, 12)))
    home.until(lambda: studio.stage.frames == tuple(range(3, 12)))
    home.until(lambda: studio.session.document.timeline.frame == 3)
    assert studio.session.document.timeline.mark_in is None


def test_a_plate_leaves_a_task_that_takes_one_as_it_is(home, tmp_path):
    shot = home.studio.session.document.shot.with_(task="background")
    home.studio.session.amend(home.studio.session.document.with_(shot=shot))
    home.studio.open_plate(write_plate(tmp_path / "one", (1,)))
    assert home.studio.session.document.shot.task == "background"


def test_layers_that_are_opened_are_one_take_however_often(home, tmp_path):
    studio, pattern = home.studio, write_layers(tmp_path / "out", (1, 2))
    studio.open_layers(pattern)
    studio.open_layers(pattern)
    assert [(take.name, take.pattern) for take in studio.session.document.takes] == [("dog_v001", pattern)]
    assert studio.session.document.take == "dog_v001"
    studio.open_layers(write_layers(tmp_path / "elsewhere", (1, 2)))
    assert studio.session.document.take == "dog_v001 2"
    home.until(lambda: studio.stage.scene is not None)


def test_a_take_that_is_not_there_is_not_looked_at(home):
    home.studio.look_at("v009")
    assert home.studio.session.document.take == ""


def test_the_take_in_hand_is_the_last_one_that_is_not_over(home):
    session = home.studio.session
    assert home.studio.take_in_hand() is None
    opened, asked = Take(name="v001", pattern="/x.%04d.exr"), Take(name="v002", pattern="/y.%04d.exr", key="k")
    session.amend(session.document.with_(takes=(opened, asked)))
    assert home.studio.take_in_hand() == asked
    assert home.studio.frames_in_hand() == frozenset()


def test_preferences_count_at_once_and_are_kept(home, tmp_path):
    studio = home.studio
    studio.set_preferences(Preferences(cache_gib=0.5, folder=str(tmp_path), drops_frames=True))
    assert studio.cache.limit_bytes == GIB // 2
    assert studio.playback.policy == "realtime"
    assert studio.generating.folder == studio.own_layers_folder() == tmp_path
    home.until(lambda: load_preferences() == studio.preferences)
    studio.set_preferences(Preferences())
    assert studio.cache.limit_bytes == studio.own_cache_bytes
