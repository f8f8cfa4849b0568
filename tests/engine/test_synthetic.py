"""Shots of known layers: what they promise, and that they are the same for everybody."""

from __future__ import annotations

import numpy as np
import pytest

from layerflow import recomposition
from layerflow.evaluate.scenery import Surface, glow, lamps
from layerflow.evaluate.synthetic import KINDS, LayeredShot

pytestmark = pytest.mark.usefixtures("one_thread")

WIDTH, HEIGHT = 192, 108


def shot(kind: str, seed: int = 0) -> LayeredShot:
    return LayeredShot(kind=kind, width=WIDTH, height=HEIGHT, seed=seed)


@pytest.mark.parametrize("kind", KINDS)
def test_layers_are_whole_and_put_the_plate_together(kind: str) -> None:
    truth = shot(kind).frame(2)
    assert truth.alpha.shape == (HEIGHT, WIDTH) and truth.foreground.shape == truth.background.shape == (
        HEIGHT,
        WIDTH,
        3,
    )
    assert all(part.dtype == np.float32 and np.isfinite(part).all() for part in vars(truth).values())
    assert truth.alpha.min() == 0.0 and 0.9 < truth.alpha.max() <= 1.0
    soft = ((truth.alpha > 0.02) & (truth.alpha < 0.98)).mean()
    assert 0.005 < soft < 0.3
    weight = truth.alpha[..., None].astype(np.float64)
    light = weight * truth.foreground + (1 - weight) * truth.background
    np.testing.assert_allclose(truth.plate, light, rtol=2**-10, atol=2**-24)


@pytest.mark.parametrize("kind", KINDS)
def test_light_is_hdr_and_wider_than_the_gamut(kind: str) -> None:
    plate = shot(kind).frame(0).plate
    assert plate.max() > 100 and plate.min() < -0.1
    assert 0.1 < np.median(plate) < 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_for_the_same_seed_and_moving(kind: str) -> None:
    first, again, later, other = (
        shot(kind).frame(1),
        shot(kind).frame(1),
        shot(kind).frame(2),
        shot(kind, seed=5).frame(1),
    )
    assert all(np.array_equal(one, two) for one, two in zip(vars(first).values(), vars(again).values(), strict=True))
    assert np.abs(first.alpha - later.alpha).max() > 0.1
    assert np.abs(first.background - later.background).mean() > 0.01
    assert np.abs(first.background - other.background).mean() > 0.05


def test_a_ball_in_flight_is_as_wide_as_it_moves() -> None:
    """Its coverage, summed, is that of the ball at rest, and its edge is as soft as the way it goes in half a frame."""
    alpha = shot("blur").frame(3).alpha
    assert alpha.sum() == pytest.approx(np.pi * (0.16 * HEIGHT) ** 2, rel=0.01)
    row = alpha[alpha.sum(1).argmax()]
    assert 0.02 * HEIGHT < ((row > 0.02) & (row < 0.98)).sum() / 2 < 0.06 * HEIGHT


def test_hair_is_thin_and_of_many_levels() -> None:
    truth = LayeredShot(kind="hair", width=480, height=270).frame(0)
    top = truth.alpha[: 270 // 4]
    assert 0.05 < (top > 0.1).mean() < 0.6
    assert len(np.unique((top * 20).round())) > 15


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="hair, blur, glass, defocus"):
        shot("fog")


def test_a_surface_that_moves_whole_pixels_is_the_same_surface() -> None:
    surface = Surface(40, 60, 10, seed=3)
    still, moved, half = surface.seen(0, 0), surface.seen(4, -3), surface.seen(0.5, 0)
    assert np.array_equal(still[3:, :-4], moved[:-3, 4:])
    np.testing.assert_allclose(half[:, 1:], (still[:, 1:] + still[:, :-1]) / 2, rtol=1e-5)


def test_a_glow_peaks_where_it_is_put() -> None:
    light = np.zeros((21, 31, 3), np.float32)
    glow(light, (12.0, 7.0), 2.0, np.array([8.0, 4.0, -1.0], np.float32))
    assert light[7, 12].tolist() == [8.0, 4.0, -1.0]
    assert light[7, 14, 0] == pytest.approx(8 * np.exp(-0.5)) and light[18:, 28:].max() == 0
    glow(light, (-200.0, 7.0), 2.0, np.ones(3, np.float32))  # out of the picture
    assert lamps(108, 192, 0, 0.0).max() > 900


def test_the_truth_is_solved_as_it_is() -> None:
    """Recomposition finds nothing to mend in the true layers, HDR and all."""
    truth = shot("glass").frame(1)
    made = recomposition.solve(truth.plate, truth.alpha, truth.foreground, truth.background)
    assert made.residual is None
    np.testing.assert_allclose(made.alpha, truth.alpha, atol=2**-11)
    solid = truth.alpha > 0.5
    np.testing.assert_allclose(made.foreground[solid], truth.foreground[solid], rtol=0.02, atol=0.02)
