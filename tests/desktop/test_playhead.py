"""Frame arithmetic: ranges, steps, loops, speeds and exact rates."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerflow_desktop.models.playhead import Anchor, Head, exact_rate, held, marked, nearest, shuttled, stepped

GAPS = (1001, 1002, 1005, 1009)


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        (24, Fraction(24)),
        (23.976, Fraction(24000, 1001)),
        (23.98, Fraction(24000, 1001)),
        (24000 / 1001, Fraction(24000, 1001)),
        (29.97, Fraction(30000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (119.88, Fraction(120000, 1001)),
        (25, Fraction(25)),
        (12.5, Fraction(25, 2)),
        (0.1, Fraction(1, 10)),
    ],
)
def test_a_number_stands_for_an_exact_rate(fps, rate):
    assert exact_rate(fps) == rate


def test_nearest_and_held():
    assert [nearest(GAPS, frame) for frame in (1, 1003, 1004, 1007, 2000)] == [1001, 1002, 1005, 1005, 1009]
    assert [held(GAPS, number) for number in (1000, 1001, 1004, 1005, 1008, 1010)] == [
        1001,
        1001,
        1002,
        1005,
        1005,
        1009,
    ]
    assert nearest((), 7) == 7


def test_steps_go_over_gaps_and_round_the_ends():
    assert stepped(GAPS, 1002, 1) == 1005
    assert stepped(GAPS, 1005, -1) == 1002
    assert stepped(GAPS, 1009, 1) == 1001
    assert stepped(GAPS, 1001, -1) == 1009
    assert (stepped(GAPS, 1003, 1), stepped(GAPS, 1003, -1)) == (1005, 1002)
    assert (stepped(GAPS, 2000, 1), stepped(GAPS, 2000, -1)) == (1001, 1009)
    assert stepped((), 3, 1) == 3


def test_marks_are_inclusive_and_never_leave_nothing():
    assert marked(GAPS, 1002, 1005) == (1002, 1005)
    assert marked(GAPS, None, 1002) == (1001, 1002)
    assert marked(GAPS, 1003, None) == (1005, 1009)
    assert marked(GAPS, 1003, 1004) == GAPS


def test_shuttle():
    speeds = [0]
    for key in "lllllkjjjjjlkj":
        speeds.append(shuttled(speeds[-1], key))
    assert speeds[1:] == [1, 2, 4, 8, 8, 0, -1, -2, -4, -8, -8, 1, 0, -1]


def numbers(head, loop, count=8):
    return [head.after(steps, loop).number for steps in range(count)]


def test_loops():
    head = Head(10, 13, 12)
    assert numbers(head, "loop") == [12, 13, 10, 11, 12, 13, 10, 11]
    assert numbers(head, "once") == [12, 13, 13, 13, 13, 13, 13, 13]
    assert numbers(head, "bounce") == [12, 13, 12, 11, 10, 11, 12, 13]
    assert numbers(Head(10, 13, 12, -1), "loop") == [12, 11, 10, 13, 12, 11, 10, 13]
    assert numbers(Head(10, 13, 12, -1), "once") == [12, 11, 10, 10, 10, 10, 10, 10]
    assert numbers(Head(10, 13, 12, -1), "bounce") == [12, 11, 10, 11, 12, 13, 12, 11]


def test_the_last_frame_is_on_for_its_whole_time_before_the_end():
    assert not Head(1, 3, 2).after(1, "once").has_ended
    assert Head(1, 3, 2).after(2, "once").has_ended


@given(st.integers(1, 6), st.integers(0, 5), st.sampled_from([1, -1]), st.integers(0, 40), st.integers(0, 40))
def test_steps_add_up(length, place, way, one, two):
    head = Head(5, 4 + length, 5 + min(place, length - 1), way)
    for loop in ("loop", "bounce"):
        at_once, in_two = head.after(one + two, loop), head.after(one, loop).after(two, loop)
        assert at_once.number == in_two.number and head.first <= at_once.number <= head.last


def test_a_day_at_23_976_is_exact():
    anchor = Anchor(0.0, exact_rate(23.976))
    num_frames = 24000 * 86  # 86086 seconds
    assert anchor.steps(86 * 1001) == num_frames
    assert anchor.steps(86 * 1001 - 0.001) == num_frames - 1
    assert anchor.on(num_frames).at_s == 86 * 1001


@given(st.integers(0, 10**6), st.sampled_from([24, 23.976, 25, 29.97, 60, 12.5]))
def test_floating_point_loses_no_frame(steps, fps):
    anchor = Anchor(1234.5678, exact_rate(fps))
    assert anchor.steps(anchor.on(steps).at_s) == steps
