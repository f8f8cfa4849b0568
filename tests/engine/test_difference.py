"""Distances between pictures, held against paper and against all pictures at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerflow.difference import Difference


def test_one_wrong_value_on_paper() -> None:
    picture = np.zeros((2, 2, 3), np.float32)
    other = picture.copy()
    other[0, 1, 2] = -0.5
    difference = Difference()
    difference.add(picture, other)
    assert (difference.max, difference.mean, difference.count) == (0.5, 0.5 / 12, 12)
    assert difference.psnr_db == pytest.approx(10 * np.log10(12 / 0.25))


def test_no_difference_has_no_psnr() -> None:
    difference = Difference()
    assert (difference.mean, difference.psnr_db) == (None, None)
    difference.add(np.ones((2, 2, 3), np.float32), np.ones((2, 2, 3), np.float32))
    assert (difference.max, difference.mean, difference.psnr_db) == (0.0, 0.0, None)


@given(seed=st.integers(0, 1000), num_pictures=st.integers(1, 4))
def test_picture_by_picture_is_all_at_once(seed: int, num_pictures: int) -> None:
    one, other = np.random.default_rng(seed).normal(0, 3, (2, num_pictures, 3, 5, 3))
    apart, whole = Difference(), Difference()
    for pair in zip(one, other, strict=True):
        apart.add(*pair)
    whole.add(one, other)
    assert apart.max == whole.max and apart.count == whole.count
    assert (apart.mean, apart.psnr_db) == pytest.approx((whole.mean, whole.psnr_db))


def test_half_floats_do_not_overflow() -> None:
    difference = Difference()
    difference.add(np.full(3, 65504, np.float16), np.full(3, -65504, np.float16))
    assert difference.max == 131008
