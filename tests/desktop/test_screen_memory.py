"""One limit for frames and for what is drawn of them; and what the window is told of with every frame."""

from __future__ import annotations

import pytest
from desktop_frames import write_layers

from layerflow_desktop.controllers.studio import Studio
from layerflow_desktop.models.preferences import GIB, Preferences
from layerflow_desktop.views.glyphs import glyph
from layerflow_desktop.views.post import Poster
from layerflow_desktop.views.screen import Screen
from layerflow_desktop.views.software_canvas import DEFAULT_LIMIT_BYTES


@pytest.fixture
def screen(qtbot, monkeypatch, tmp_path):
    monkeypatch.setenv("LAYERFLOW_STUDIO", str(tmp_path / "studio"))
    poster = Poster()
    studio = Studio(poster)
    made = Screen(studio)
    made.resize(900, 600)
    qtbot.addWidget(made)
    made.show()
    yield made
    made.release()
    studio.close()


def test_frames_and_images_of_them_share_the_limit_that_is_stated(screen):
    studio, images = screen._studio, screen.viewer.canvas.images
    for gib in (None, 0.25, 1.0, 64.0):
        studio.set_preferences(Preferences(cache_gib=gib))
        assert studio.cache.limit_bytes + images.limit_bytes == studio.memory_limit_bytes
        assert 0 < images.limit_bytes <= DEFAULT_LIMIT_BYTES
        screen._show_memory()
        assert screen.transport.cache.text().endswith(f"of {studio.memory_limit_bytes / GIB:.1f} GiB")


def test_what_is_drawn_counts(screen, qtbot, tmp_path, monkeypatch):
    studio, told = screen._studio, []
    monkeypatch.setattr(screen.transport, "set_cache", lambda used, limit: told.append(used))
    studio.open_layers(write_layers(tmp_path, range(1, 3)))
    qtbot.waitUntil(lambda: len(screen.viewer.canvas.images) > 0, timeout=20_000)
    assert screen.viewer.wait_idle()
    screen._show_memory()
    assert told[-1] == studio.cache.num_bytes + screen.viewer.canvas.images.num_bytes > studio.cache.num_bytes > 0


def test_a_smaller_limit_drops_images_at_once(screen, qtbot, tmp_path):
    studio, canvas = screen._studio, screen.viewer.canvas
    studio.open_layers(write_layers(tmp_path, range(1, 5)))
    qtbot.waitUntil(lambda: len(canvas.images) > 0, timeout=20_000)
    for frame in (2, 3, 4):
        studio.playback.scrub(frame)
        qtbot.waitUntil(lambda frame=frame: studio.stage.scene.frame == frame, timeout=20_000)
        assert screen.viewer.wait_idle()
    assert len(canvas.images) > 1
    canvas.images.set_limit(1)
    assert len(canvas.images) == 1  # the one that is shown


def test_another_frame_tells_the_bar_nothing(screen, monkeypatch):
    told = []
    monkeypatch.setattr(screen.bar, "set_settings", told.append)
    session = screen._studio.session
    session.look(timeline=session.document.timeline.with_(frame=5))
    assert told == []
    session.look(view=session.document.view.with_(exposure=1.0))
    assert [view.exposure for view in told] == [1.0]


def test_what_plays_is_drawn_in_passing_and_what_stays_as_it_is_to_be(screen, qtbot, tmp_path, monkeypatch):
    studio, canvas = screen._studio, screen.viewer.canvas
    studio.open_layers(write_layers(tmp_path, range(1, 3)))
    qtbot.waitUntil(lambda: len(canvas.images) > 0, timeout=20_000)
    assert screen.viewer.wait_idle() and canvas.images.get(canvas._asked).is_final
    screen.viewer.set_moving(True)
    screen.viewer.set_settings(studio.session.document.view.with_(exposure=1.0))
    qtbot.waitUntil(lambda: canvas._latest.is_idle, timeout=20_000)
    assert not canvas._settle.isActive() and not canvas.images.get(canvas._asked).is_final
    screen.viewer.set_moving(False)
    assert canvas._settle.isActive()
    assert screen.viewer.wait_idle() and canvas.images.get(canvas._asked).is_final


def test_the_viewer_is_told_whether_it_plays(screen, monkeypatch):
    told, playback = [], screen._studio.playback
    monkeypatch.setattr(screen.viewer, "set_moving", told.append)
    playback.set_clip(range(1, 9), 24.0)
    playback.play()
    playback.stop()
    assert told == [False, True, False]


def test_icons_are_drawn_once_for_a_palette(screen):
    assert glyph("lock", screen.palette()).cacheKey() == glyph("lock", screen.palette()).cacheKey()
    assert glyph("lock", screen.palette()).cacheKey() != glyph("unlock", screen.palette()).cacheKey()
