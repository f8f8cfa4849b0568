"""Where a picture lies in a viewer."""

from __future__ import annotations

import numpy as np
import pytest

from layerflow_desktop.models import framing as frame
from layerflow_desktop.models.framing import Framing


@pytest.mark.parametrize(("aspect", "zoom"), [(1.0, 0.5), (2.0, 0.25), (0.5, 0.5)])
def test_a_picture_that_fits_touches_two_edges_and_is_in_the_middle(aspect, zoom):
    fitted = frame.fitted(Framing(1920, 1080, 960, 540, aspect))
    assert fitted.zoom == pytest.approx(zoom)
    assert fitted.to_screen(960, 540) == pytest.approx((480, 270), abs=1)


def test_a_small_picture_is_enlarged_to_fit():
    assert frame.fitted(Framing(64, 64, 640, 320)).zoom == 5


@pytest.mark.parametrize("zoom", [0.1, 0.77, 3.0, 20.0])
def test_zooming_keeps_what_is_under_the_pointer(zoom):
    before = frame.fitted(Framing(1920, 1080, 1000, 700))
    after = frame.zoomed(before, zoom, 333.0, 222.0)
    # The corner is on a whole pixel of the screen, so that half of one is what it can be off by.
    assert after.to_screen(*before.to_picture(333.0, 222.0)) == pytest.approx((333.0, 222.0), abs=0.51)


def test_zooming_in_and_out_comes_back():
    begun = frame.zoomed(frame.fitted(Framing(1920, 1080, 1000, 700)), 0.6, 10, 10)
    there = frame.wheeled(begun, 1, 321, 123)
    back = frame.wheeled(there, -1, 321, 123)
    assert back.zoom == pytest.approx(begun.zoom)
    assert (back.x, back.y) == pytest.approx((begun.x, begun.y), abs=1.0)


def test_the_wheel_halts_at_actual_size():
    assert frame.wheeled(Framing(100, 100, 50, 50, zoom=0.95), 1, 0, 0).zoom == 1.0
    assert frame.wheeled(Framing(100, 100, 50, 50, zoom=1.05), -1, 0, 0).zoom == 1.0
    assert frame.wheeled(Framing(100, 100, 50, 50), 4, 0, 0).zoom == 2.0


def test_zoom_has_limits():
    begun = Framing(100, 100, 50, 50)
    assert frame.wheeled(begun, 1000, 0, 0).zoom == frame.MAX_ZOOM
    assert frame.wheeled(begun, -1000, 0, 0).zoom == frame.MIN_ZOOM


def test_a_picture_cannot_be_lost_by_panning():
    far = frame.panned(Framing(100, 80, 500, 400), 1e6, -1e6)
    left, top, right, bottom = far.shown()
    assert right - left == 32
    assert bottom - top == 32


@pytest.mark.parametrize(("zoom", "step"), [(1.0, 1), (0.51, 1), (0.5, 2), (0.3, 3), (4.0, 1)])
def test_the_step_is_the_whole_reduction(zoom, step):
    assert Framing(100, 100, 50, 50, zoom=zoom).step == step


def test_pixels_are_found_on_the_screen():
    placed = Framing(10, 8, 100, 100, zoom=4.0, x=20, y=30)
    assert placed.pixel_at(20, 30) == (0, 0)
    assert placed.pixel_at(59.9, 61.9) == (9, 7)
    assert placed.pixel_at(19.9, 30) is None
    assert placed.pixel_at(60, 30) is None
    assert placed.shown() == (20, 30, 60, 62)


def test_a_wide_pixel_is_shown_wide():
    placed = Framing(10, 8, 100, 100, pixel_aspect=2.0)
    assert placed.shown() == (0, 0, 20, 8)
    assert placed.pixel_at(19, 7) == (9, 7)


@pytest.mark.parametrize("angle", [0.0, 30.0, 90.0, -135.0, 180.0])
def test_a_wipe_at_its_ends_is_one_picture(angle):
    y, x = np.mgrid[0:48, 0:64] + 0.5
    for position, all_of_a in ((0.0, False), (1.0, True)):
        nx, ny, limit = frame.wipe_line(64, 48, position, angle)
        assert (nx * x + ny * y < limit).all() == all_of_a
        assert (nx * x + ny * y < limit).any() == all_of_a


def test_a_wipe_at_no_angle_is_upright():
    nx, ny, limit = frame.wipe_line(64, 48, 0.25, 0.0)
    assert (nx, ny, limit) == pytest.approx((1.0, 0.0, 16.0))


@pytest.mark.parametrize("angle", [0.0, 37.0, 90.0, -120.0])
def test_a_wipe_goes_through_the_point_it_is_dragged_to(angle):
    position = frame.wipe_through(64, 48, angle, 25.0, 20.0)
    nx, ny, limit = frame.wipe_line(64, 48, position, angle)
    assert nx * 25.0 + ny * 20.0 == pytest.approx(limit)
    x, y = frame.wipe_pivot(64, 48, position, angle)
    assert nx * x + ny * y == pytest.approx(limit)


@pytest.mark.parametrize("angle", [0.0, 37.0, 90.0, -120.0])
def test_the_knob_is_where_the_angle_has_it(angle):
    nx, ny = frame.wipe_normal(angle)
    assert frame.wipe_angle_to(-ny * 50, nx * 50) == pytest.approx(angle)
