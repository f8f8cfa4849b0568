"""Foregrounds peeled off one after another put the plate back together as well as one does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from test_recomposition import allowed, any_half, half, halves

from layerflow.layers import HALF_MAX, Pixels
from layerflow.recomposition import Peeled, peeled, plate_behind, solve

Estimate = tuple[Pixels, Pixels, Pixels]  # alpha, foreground, background


def peel(plate: Pixels, estimates: list[Estimate], near: float = 0.0) -> Peeled:
    solved, seen = [], plate
    for estimate in estimates:
        solved.append(solve(seen, *estimate, uncertainty=near))
        seen = plate_behind(seen, solved[-1])
    return peeled(plate, solved)


def over(made: Peeled) -> Pixels:
    """As a compositor does it, in float32, the residual added."""
    picture = made.background
    for alpha, colour in zip(reversed(made.alphas), reversed(made.foregrounds), strict=True):
        picture = colour * alpha[..., None] + picture * (1 - alpha[..., None])
    return picture if made.residual is None else picture + made.residual


def assert_holds(made: Peeled, plate: Pixels) -> None:
    for layer in (*made.alphas, *made.foregrounds, made.background):
        assert layer.dtype == np.float32
        np.testing.assert_array_equal(layer, half(layer))
    assert (np.abs(over(made).astype(np.float64) - plate) < allowed(plate)).all()
    for colour in made.foregrounds:
        assert (colour >= half(np.minimum(plate, 0)) * (1 + 2**-10)).all()


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("near", [0.0, 0.2])
def test_any_halves_put_the_plate_back_together(count: int, near: float) -> None:
    rng = np.random.default_rng(count)
    plate = any_half(rng, 60, 61, 3)
    estimates = []
    for _ in range(count):
        alpha = np.abs(any_half(rng, 60, 61))
        alpha = np.where(alpha > 1, 1 - 1 / np.maximum(alpha, 1), alpha)
        estimates.append((alpha, any_half(rng, 60, 61, 3), any_half(rng, 60, 61, 3)))
    made = peel(plate, estimates, near)
    assert_holds(made, plate)
    assert len(made.foregrounds) == len(made.alphas) == count


colours = arrays(np.float32, (2, 3, 3), elements=halves.map(np.float32))
mattes = arrays(np.float32, (2, 3), elements=st.floats(0, 1, width=32))


@settings(max_examples=150, deadline=None)
@given(plate=colours, estimates=st.lists(st.tuples(mattes, colours, colours), min_size=1, max_size=3))
def test_no_pixel_is_left_open(plate: Pixels, estimates: list[Estimate]) -> None:
    assert_holds(peel(plate, estimates), plate)


def test_one_foreground_is_what_was_solved() -> None:
    rng = np.random.default_rng(1)
    plate, foreground, background = (rng.random((5, 6, 3), np.float32) for _ in range(3))
    solved = solve(plate, rng.random((5, 6), np.float32), foreground, background)
    made = peeled(plate, [solved])
    np.testing.assert_array_equal(made.foregrounds[0], solved.foreground)
    np.testing.assert_array_equal(made.background, solved.background)
    assert made.residual is None and made.residual_energy == 0


def test_known_answer() -> None:
    """A pane of half a 2 in front of a solid 3 and, beside it, of nothing: what is behind comes out as it was."""
    plate = np.float32([[[2.5] * 3, [1.5] * 3]])
    pane = (np.full((1, 2), 0.5, np.float32), np.full_like(plate, 2.0), np.float32([[[3.0] * 3, [1.0] * 3]]))
    block = (np.float32([[1.0, 0.0]]), np.full_like(plate, 3.0), np.full_like(plate, 1.0))
    made = peel(plate, [pane, block])
    np.testing.assert_array_equal(made.foregrounds[0], 2.0)
    np.testing.assert_array_equal(made.foregrounds[1], 3.0)
    np.testing.assert_array_equal(made.background, 1.0)


def test_the_plate_shows_through_where_nothing_is_in_front() -> None:
    rng = np.random.default_rng(2)
    plate = half(rng.lognormal(0, 2, (7, 8, 3)).astype(np.float32))
    clear, noise = np.zeros((7, 8), np.float32), rng.random((7, 8, 3), np.float32)
    made = peel(plate, [(clear, noise, noise)] * 3)
    np.testing.assert_array_equal(made.background, plate)


def test_light_beyond_half_floats_goes_into_a_residual() -> None:
    plate = np.full((2, 3, 3), 0.5, np.float32)
    plate[0, 0] = 100000.0
    pane = (np.full((2, 3), 0.25, np.float32), plate * 0 + 0.4, plate * 0 + 0.6)
    made = peel(plate, [pane, pane])
    assert made.residual is not None and made.residual_energy > 0
    assert np.count_nonzero(made.residual) == 3
    np.testing.assert_allclose(over(made), plate, rtol=1e-3)


def test_bright_light_behind_a_pane_needs_no_residual_while_halves_hold_it() -> None:
    plate = np.full((1, 1, 3), 40000.0, np.float32)
    pane = (np.full((1, 1), 0.4, np.float32), plate * 0, plate * 0 + 60000)
    assert HALF_MAX < 40000 / 0.6 < 2 * HALF_MAX  # were the pane black
    made = peel(plate, [pane, pane])
    np.testing.assert_allclose(over(made), plate, rtol=2**-11)
