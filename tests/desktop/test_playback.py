"""Playing, by a clock that the test turns."""

from __future__ import annotations

import pytest

from layerflow_desktop.controllers.playback import Playback
from layerflow_desktop.controllers.session import Session
from layerflow_desktop.models.document import Document


class Player:
    """A playback with its clock, what is cached, and what it told."""

    def __init__(self, frames=range(1, 11), fps=24, cached=None, timeline=None):
        self.now_s, self.cached = 0.0, cached
        self.session = Session(Document(timeline=timeline or {"frame": 1}))
        self.playback = Playback(self.session, lambda: self.now_s, lambda frame: cached is None or frame in cached)
        self.playback.set_clip(list(frames), fps)
        self.told, self.states = [], 0
        self.playback.frame_changed.connect(lambda frame, way: self.told.append((frame, way)))
        self.playback.state_changed.connect(self._count)

    def _count(self):
        self.states += 1

    def wait(self, num_frames):
        """Lets so many frames' time pass in one go, and ticks."""
        self.now_s += num_frames / float(self.playback.rate)
        self.playback.tick()
        return self.playback.frame

    def run(self, count):
        return [self.wait(1) for _ in range(count)]


def test_plays_at_the_shots_rate_and_loops():
    player = Player()
    player.playback.play()
    assert player.run(11) == [2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 2]
    assert player.playback.measured_fps == pytest.approx(24)
    assert not player.playback.is_slow and player.playback.num_dropped == 0
    assert set(player.told) == {(frame, 1) for frame in range(1, 11)}


def test_too_early_is_nothing():
    player = Player()
    player.playback.play()
    assert player.wait(0.9) == 1 and player.wait(0.2) == 2
    assert player.playback.due_in_s() == pytest.approx(0.9 / 24)


def test_once_stops_after_the_last_frames_time():
    player = Player(range(1, 4), timeline={"frame": 1, "loop": "once"})
    player.playback.play()
    assert player.run(2) == [2, 3] and player.playback.is_playing
    assert player.run(3) == [3, 3, 3] and not player.playback.is_playing
    player.playback.play()
    assert player.playback.frame == 1 and player.wait(1) == 2


def test_once_backwards_begins_at_the_end():
    player = Player(range(1, 4), timeline={"frame": 1, "loop": "once"})
    player.playback.play(-1)
    assert player.playback.frame == 3
    assert player.run(3) == [2, 1, 1] and not player.playback.is_playing


def test_bounce_turns():
    player = Player(range(1, 4), timeline={"frame": 1, "loop": "bounce"})
    player.playback.play()
    assert player.run(6) == [2, 3, 2, 1, 2, 3]
    assert player.told[2] == (2, -1)


def test_marks_are_played_and_clear_each_other():
    player = Player()
    player.playback.mark_in(4)
    player.playback.mark_out(6)
    player.playback.play()
    assert player.playback.frame == 4
    assert player.run(4) == [5, 6, 4, 5]
    player.playback.mark_out(2)
    assert player.session.document.timeline.mark_in is None
    player.playback.clear_marks()
    assert player.playback.range == tuple(range(1, 11))


def test_a_gap_is_held():
    player = Player((1, 2, 5, 6))
    player.playback.play()
    assert player.run(7) == [2, 2, 2, 5, 6, 1, 2]
    player.playback.stop()
    player.playback.step(1)
    assert player.playback.frame == 5


def test_every_frame_waits_for_what_is_not_read_yet_then_keeps_time():
    cached = {1, 2}
    player = Player(range(1, 5), cached=cached)
    player.playback.play()
    assert player.run(3) == [2, 2, 2]
    assert player.playback.is_slow
    cached.add(3)
    assert player.wait(3) == 3  # however late
    assert player.wait(1) == 3
    cached.add(4)
    assert player.playback.num_dropped == 0
    assert player.wait(3) == 4 and player.playback.num_dropped == 0  # the one that was waited for
    assert player.wait(3) == 3 and player.playback.num_dropped == 2  # all are read: it keeps time


def test_first_pass_leaves_no_frame_out():
    player = Player(range(1, 9), cached=set(range(1, 8)))
    player.playback.play()
    assert [player.wait(2.5) for _ in range(4)] == [2, 3, 4, 5]
    assert player.playback.num_dropped == 0 and player.playback.is_slow


def test_real_time_leaves_frames_out_and_counts_them():
    player = Player(cached={1, 2, 3, 5})
    player.playback.set_policy("realtime")
    player.playback.play()
    assert player.run(4) == [2, 3, 4, 5]
    assert player.playback.num_dropped == 1  # 4 was not read
    assert player.wait(3) == 8
    assert player.playback.num_dropped == 4  # 6 and 7 came too late, 8 is not read
    player.playback.stop()
    player.playback.play()
    assert player.playback.num_dropped == 0


def test_faster_keeps_time_and_counts_nothing():
    player = Player(range(1, 101), cached={1})
    player.playback.shuttle("l")
    player.playback.shuttle("l")
    assert player.playback.speed == 2
    assert player.run(3) == [3, 5, 7]
    assert player.playback.num_dropped == 0 and not player.playback.is_slow
    player.playback.shuttle("j")
    assert player.playback.speed == -1 and player.wait(1) == 7  # waits for 6
    player.playback.shuttle("k")
    assert not player.playback.is_playing


def test_k_held_steps():
    player = Player()
    player.playback.shuttle("l", k_is_down=True)
    assert player.playback.frame == 2 and not player.playback.is_playing
    player.playback.shuttle("j", k_is_down=True)
    assert player.playback.frame == 1


def test_23_976_for_an_hour():
    player = Player(range(1, 100_001), fps=23.976)
    player.playback.set_policy("realtime")
    player.playback.play()
    player.now_s = 1001.0
    player.playback.tick()
    assert player.playback.frame == 24001
    for step in range(1, 1000):  # ticks of another rhythm do not add up to an error
        player.now_s = 1001.0 + step * 1.001
        player.playback.tick()
    assert player.playback.frame == 24001 + 24 * 999


def test_scrub_goes_on_from_there():
    player = Player()
    player.playback.play()
    player.wait(1.5)
    player.playback.scrub(7)
    assert player.told[-1] == (7, 0)
    assert player.wait(0.6) == 7 and player.wait(0.5) == 8


def test_another_part_of_the_app_goes_somewhere():
    player = Player()
    player.playback.play()
    player.wait(1.5)
    player.session.look(timeline=player.session.document.timeline.with_(frame=5))
    assert player.told[-1] == (5, 0)
    assert player.wait(1) == 6


def test_a_clip_that_grows_while_it_plays():
    player = Player((1, 2))
    player.playback.play()
    player.wait(1)
    player.playback.set_clip([1, 2, 3], 24)
    assert player.playback.is_playing and player.wait(1) == 3


def test_a_new_clip_takes_the_nearest_frame_and_none_stops():
    player = Player()
    player.playback.set_clip(range(1001, 1005), 25)
    assert player.playback.frame == 1001
    player.playback.play()
    player.playback.set_clip((), 24)
    assert not player.playback.is_playing and player.playback.frame == 1001
    player.playback.play()
    player.playback.step(1)
    player.playback.to_end()
    assert not player.playback.is_playing and player.playback.due_in_s() is None


def test_ends_and_steps_stay_in_the_range():
    player = Player()
    player.playback.mark_in(3)
    player.playback.mark_out(5)
    player.playback.to_end()
    assert player.playback.frame == 5
    player.playback.step(1)
    assert player.playback.frame == 3
    player.playback.to_start()
    assert player.told[-1][0] == 3


def test_looking_is_no_step_to_undo():
    player = Player()
    player.playback.scrub(4)
    player.playback.set_loop("once")
    assert not player.session.history.undo_name and player.session.is_saved
    assert player.states == 1
