"""A closer look: it lands where the foreground is, and is laid back where it was taken from."""

from __future__ import annotations

import numpy as np
import pytest

from layerflow.closeup import CloseUp, place
from layerflow.preprocess import Fit

FIT = Fit(width=960, height=640, columns=96, rows=64, kind="bucket")


def matte(top: int, left: int, height: int, width: int) -> np.ndarray:
    """Two frames of a block of the model's picture; in the second one it has moved by its own width."""
    alpha = np.zeros((2, 64, 96), np.float32)
    alpha[0, top : top + height, left : left + width] = 1
    alpha[1, top : top + height, left + width : left + 2 * width] = 0.9
    return alpha


def test_the_part_holds_the_foreground_of_all_frames_and_a_margin() -> None:
    """30 pixels by 10 of the model's are 300 by 100 of the plate's; a quarter of a side is the least."""
    assert place(matte(20, 30, 20, 15), FIT) == (225, 150, 450, 300)
    left, top, width, height = place(matte(30, 40, 2, 2), FIT)
    assert (width, height) == (240, 160) and left + width / 2 == 420 and top + height / 2 == 310


def test_the_part_stays_within_the_plate() -> None:
    assert place(matte(0, 0, 4, 4), FIT) == (0, 0, 240, 160)
    assert place(matte(60, 88, 4, 4), FIT) == (720, 480, 240, 160)


@pytest.mark.parametrize("kind", ["pad", "crop"])
def test_the_part_is_counted_in_the_plate_s_own_pixels(kind: str) -> None:
    """A square plate: padded, its middle 64 columns are its own; cropped, only its middle rows are seen."""
    fit = Fit(width=640, height=640, columns=96, rows=64, kind=kind)
    left, top, width, height = place(matte(30, 44, 4, 4), fit)
    assert left + width / 2 == pytest.approx(320, abs=1) and top + height / 2 == pytest.approx(320, abs=1)
    assert (width, height) == (160, 160)


def test_specks_elsewhere_do_not_count() -> None:
    specked = matte(20, 30, 20, 15)
    specked[0, 60, 90] = specked[1, 2, 2] = 1
    assert place(specked, FIT) == place(matte(20, 30, 20, 15), FIT)


def test_no_closer_look_where_nothing_is_gained() -> None:
    assert place(np.zeros((2, 64, 96), np.float32), FIT) is None
    assert place(np.full((2, 64, 96), 0.4, np.float32), FIT) is None
    assert place(matte(2, 2, 60, 45), FIT) is None
    assert place(matte(20, 30, 20, 15), Fit(width=48, height=32, columns=96, rows=64, kind="bucket")) is None


def closeup(area: tuple[int, int, int, int]) -> CloseUp:
    return CloseUp(area=area, fit=FIT, made={})


@pytest.mark.parametrize("shape", [(), (3,)])
def test_the_part_is_laid_over_the_whole_and_fades_out(shape: tuple[int, ...]) -> None:
    """From 0.05 of the whole to 1 over a tenth of each side, and not beyond it."""
    whole, part = np.zeros((60, 80, *shape), np.float32), np.ones((20, 40, *shape), np.float32)
    out = closeup((10, 30, 40, 20)).over(whole, part)
    assert (out[32:48, 14:46] == 1).all() and not whole.any()
    assert out[40, 10:15].reshape(5, -1)[:, 0] == pytest.approx([0.125, 0.375, 0.625, 0.875, 1])
    assert out[30:33, 30].reshape(3, -1)[:, 0] == pytest.approx([0.25, 0.75, 1])
    seen = np.zeros(out.shape, bool)
    seen[30:50, 10:50] = True
    assert not out[~seen].any() and out[seen].all()


def test_the_part_does_not_fade_at_the_plate_s_own_edges() -> None:
    whole, part = np.zeros((20, 80), np.float32), np.ones((20, 40), np.float32)
    out = closeup((40, 0, 40, 20)).over(whole, part)
    assert (out[:, 44:] == 1).all() and (out[:, 40] == 0.125).all() and not out[:, :40].any()
