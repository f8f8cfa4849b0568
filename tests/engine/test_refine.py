"""Mattes and colours at the plate's resolution: from what a small model would have made of a plate that is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from layerflow import refine
from layerflow.wire.request import CHOICES

CELL = 6.0
KINDS = CHOICES["refine"]


def strands(height: int = 96, width: int = 120) -> np.ndarray:
    """A matte [H, W]: a body with soft edges, strands a pixel or two wide and a thing blurred by motion."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    body = (30.5 - np.hypot(rows - 48, columns - 40)).clip(0, 1)
    hair = np.max([(1.2 - abs(rows - 20 - 8 * k - 0.3 * columns)).clip(0, 1) for k in range(5)], axis=0)
    moving = ((columns - 85) / 20).clip(0, 1) * (rows > 50) * (rows < 90)
    return np.maximum.reduce([body, hair * (columns < 90), moving]).astype(np.float32)


def painted(height: int, width: int, colour: tuple[float, float, float], seed: int) -> np.ndarray:
    """A smoothly varying picture [H, W, 3] around `colour`."""
    waves = np.random.default_rng(seed).uniform(0.01, 0.08, (3, 2))
    rows, columns = np.mgrid[:height, :width]
    ripple = [np.sin(rows * down + columns * across) for down, across in waves]
    return (np.array(colour) * (1 + 0.15 * np.stack(ripple, axis=-1))).astype(np.float32)


def as_made_small(matte: np.ndarray, cell: float, noise: float = 0.03, seed: int = 5) -> np.ndarray:
    """What a model with pixels `cell` wide makes of `matte`, enlarged again."""
    size = [round(n / cell) for n in matte.shape[::-1]]
    small = cv2.resize(matte, size, interpolation=cv2.INTER_AREA)
    small += noise * np.random.default_rng(seed).normal(size=small.shape).astype(np.float32) * (small > 0) * (small < 1)
    return cv2.resize(small.clip(0, 1), matte.shape[::-1], interpolation=cv2.INTER_CUBIC).clip(0, 1)


@pytest.fixture(scope="module")
def scene():
    """alpha, foreground, background, plate; display light is taken for linear."""
    alpha = strands()
    foreground, background = painted(96, 120, (0.7, 0.5, 0.3), 1), painted(96, 120, (0.15, 0.3, 0.6), 2)
    return alpha, foreground, background, background + alpha[..., None] * (foreground - background)


def error(found: np.ndarray, true: np.ndarray) -> float:
    return float(np.square(found - true, dtype=np.float64).mean())


def test_a_plate_gives_a_small_matte_its_detail_back(scene):
    alpha, _, _, plate = scene
    soft = as_made_small(alpha, CELL)
    refined = refine.matte([plate], [soft], 0, kind="fast", cell=CELL)
    assert error(refined.alpha, alpha) < 0.1 * error(soft, alpha)
    assert error(np.diff(refined.alpha), np.diff(alpha)) < 0.1 * error(np.diff(soft), np.diff(alpha))
    assert refined.alpha.dtype == refined.uncertainty.dtype == np.float32


def test_best_is_better_than_fast():
    alphas, plates, softs = moving(0.1)
    found = {kind: [refine.matte(plates, softs, at, kind=kind, cell=CELL).alpha for at in range(4)] for kind in KINDS}
    errors = {kind: error(np.stack(each), np.stack(alphas)) for kind, each in found.items()}
    assert errors["best"] < 0.98 * errors["fast"] < 0.1 * errors["off"]


def test_most_of_what_is_wrong_is_uncertain(scene):
    alpha, _, _, plate = scene
    refined = refine.matte([plate], [as_made_small(alpha, CELL)], 0, kind="fast", cell=CELL)
    wrong = abs(refined.alpha - alpha)
    assert (wrong <= refined.uncertainty)[wrong > 0.02].mean() > 0.6
    assert refined.uncertainty.mean() < 0.1
    assert not refined.uncertainty[90, :20].any()


@pytest.mark.parametrize("seed", range(3))
def test_a_matte_that_the_plate_knows_nothing_of_stays_about_as_it_is(scene, seed):
    grain = np.random.default_rng(seed).normal(0, 0.005, scene[2].shape)
    soft = as_made_small(strands(), CELL)
    refined = refine.matte([(scene[2] + grain).astype(np.float32)], [soft], 0, kind="fast", cell=CELL).alpha
    assert error(refined, strands()) < 1.25 * error(soft, strands())
    flat = refine.matte([np.full_like(scene[2], 0.4)], [soft], 0, kind="fast", cell=CELL).alpha
    assert error(flat, strands()) < 1.25 * error(soft, strands())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (17, 31), (16, 300), (300, 2)])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_certain_matte_stays_exactly(kind, size, value):
    picture = np.random.default_rng(1).uniform(size=(*size, 3)).astype(np.float32)
    refined = refine.matte([picture], [np.full(size, value, np.float32)], 0, kind=kind, cell=5.3)
    assert (refined.alpha == value).all()
    assert not refined.uncertainty.any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cell", [0.5, 1.0, 40.0])
@pytest.mark.parametrize("size", [(1, 1), (17, 31), (16, 300)])
def test_any_size_gives_a_matte(size, cell, kind):
    rng = np.random.default_rng(2)
    picture, soft = rng.uniform(size=(*size, 3)).astype(np.float32), rng.uniform(size=size).astype(np.float32)
    refined = refine.matte([picture], [soft], 0, kind=kind, cell=cell)
    assert refined.alpha.shape == refined.uncertainty.shape == size
    assert 0 <= refined.alpha.min() <= refined.alpha.max() <= 1


@pytest.mark.parametrize("kind", ["fast", "best"])
@pytest.mark.parametrize("width", [15, 20, 30])
@pytest.mark.parametrize("seed", range(3))
def test_an_edge_wider_than_the_models_pixels_stays_clear_of_the_texture_behind(seed, width, kind):
    way = ((np.arange(120, dtype=np.float32) - 60 + width / 2) / width).clip(0, 1)
    alpha = np.tile(way * way * (3 - 2 * way), (96, 1))
    grain = np.random.default_rng(seed).uniform(0, 1, (96, 120, 3)).astype(np.float32)
    background = cv2.GaussianBlur(grain, (0, 0), 0.8)
    plate = background + alpha[..., None] * (painted(96, 120, (0.1, 0.3, 0.5), seed) - background)
    soft = as_made_small(alpha, CELL, 0.02, seed)
    refined = refine.matte([plate], [soft], 0, kind=kind, cell=CELL).alpha
    assert error(refined, alpha) < 1.02 * error(soft, alpha)
    steps = [np.stack([np.diff(each)[1:], np.diff(each, axis=0)[:, 1:]]) for each in (refined, soft, alpha)]
    assert error(steps[0], steps[2]) < 1.5 * error(steps[1], steps[2])


def test_far_from_an_edge_a_matte_that_is_nearly_certain_is_certain(scene):
    soft = np.where(strands() > 0.5, 0.99, 0.01).astype(np.float32)
    refined = refine.matte([scene[3]], [soft], 0, kind="fast", cell=2.0).alpha
    assert refined[48, 40] == 1
    assert refined[90, 5] == 0


def test_the_frame_asked_for_is_refined(scene):
    alpha, _, _, plate = scene
    soft = as_made_small(alpha, CELL)
    alone = refine.matte([plate], [soft], 0, kind="fast", cell=CELL).alpha
    other = refine.matte([plate[::-1], plate], [soft[::-1], soft], 1, kind="fast", cell=CELL).alpha
    assert error(other, alpha) < 2 * error(alone, alpha) < error(other, alpha[::-1])
    off = refine.matte([plate[::-1], plate], [soft[::-1], soft], 1, kind="off", cell=CELL).alpha
    assert np.array_equal(off, soft)


def moving(noise: float) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """Mattes, plates and small mattes of four frames, over which a foreground moves; each has noise of its own."""
    foreground, background = painted(96, 120, (0.7, 0.5, 0.3), 1), painted(96, 120, (0.15, 0.3, 0.6), 2)
    shift = [(2 * frame, 3 * frame) for frame in range(4)]
    alphas = [np.roll(strands(), by, (0, 1)) for by in shift]
    plates = [
        background + alpha[..., None] * (np.roll(foreground, by, (0, 1)) - background)
        for alpha, by in zip(alphas, shift, strict=True)
    ]
    return alphas, plates, [as_made_small(alpha, CELL, noise, seed) for seed, alpha in enumerate(alphas)]


def test_neighbouring_frames_make_a_matte_steadier_and_better():
    alphas, plates, softs = moving(0.3)
    alone = [refine.matte([plates[at]], [softs[at]], 0, kind="fast", cell=CELL).alpha for at in range(4)]
    beside = [slice(max(0, at - 1), at + 2) for at in range(4)]
    steadied = [
        refine.matte(plates[near], softs[near], at - near.start, kind="fast", cell=CELL).alpha
        for at, near in enumerate(beside)
    ]
    assert error(np.stack(steadied), np.stack(alphas)) < 0.95 * error(np.stack(alone), np.stack(alphas))
    jumps = [np.diff(clip, axis=0) for clip in (steadied, alone, alphas)]
    assert error(jumps[0], jumps[2]) < 0.9 * error(jumps[1], jumps[2])


def test_frames_beside_may_be_small():
    alphas, plates, softs = moving(0.03)
    small = [cv2.resize(each, (30, 24), interpolation=cv2.INTER_AREA) for each in (plates[0], softs[0])]
    found = refine.matte([small[0], plates[1]], [small[1], softs[1]], 1, kind="fast", cell=CELL).alpha
    alike = refine.matte(plates[:2], softs[:2], 1, kind="fast", cell=CELL).alpha
    assert error(found, alike) < 0.1 * error(alike, alphas[1])


@pytest.mark.parametrize(
    ("pictures", "mattes", "at", "cell"),
    [(1, 2, 0, 2.0), (1, 1, 1, 2.0), (1, 1, -1, 2.0), (0, 0, 0, 2.0), (1, 1, 0, 0)],
)
def test_what_cannot_be_refined_is_said(pictures, mattes, at, cell):
    with pytest.raises(ValueError, match=r"frame|cell"):
        refine.matte(
            [np.zeros((4, 4, 3), np.float32)] * pictures,
            [np.zeros((4, 4), np.float32)] * mattes,
            at,
            kind="fast",
            cell=cell,
        )


def test_a_picture_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"got \(4, 4\) and \(4, 5, 3\)"):
        refine.matte([np.zeros((4, 5, 3), np.float32)], [np.zeros((4, 4), np.float32)], 0, kind="fast", cell=2)


def test_colours_are_the_plates_where_it_shows_them(scene):
    alpha, foreground, background, plate = scene
    made = refine.colours(plate, alpha, foreground * 0.5, background * 2)
    assert np.array_equal(made[0][alpha == 1], plate[alpha == 1])
    assert np.array_equal(made[1][alpha == 0], plate[alpha == 0])


def test_a_models_wrong_exposure_is_corrected_under_the_other_layer(scene):
    alpha, foreground, background, plate = scene
    made = refine.colours(plate, alpha, foreground * 0.8, background * 1.3)
    for found, estimate, true in zip(made, (foreground * 0.8, background * 1.3), (foreground, background), strict=True):
        assert error(found, true) < 0.05 * error(estimate, true)


@pytest.mark.parametrize("coverage", [0.25, 1.0])
@pytest.mark.parametrize("cells", [12, 20])
def test_errors_that_differ_from_place_to_place_are_not_carried_far(cells, coverage):
    rows, columns = np.mgrid[:192, :240]
    inward = 70 - np.hypot(rows - 96, columns - 120)
    alpha = np.where(inward > 0, coverage, 0).astype(np.float32)
    worse = []
    for seed in range(8):
        background = painted(192, 240, (0.3, 0.4, 0.6), seed)
        stops = np.random.default_rng(seed).normal(0, 0.3, (cells * 4 // 5, cells, 3)).astype(np.float32)
        estimate = background * np.exp(cv2.resize(stops, (240, 192), interpolation=cv2.INTER_CUBIC))
        plate = background + alpha[..., None] * (0.8 - background)
        made = refine.colours(plate, alpha, np.full_like(plate, 0.8), estimate)[1]
        worse.append(error(made[inward > 30], background[inward > 30]))
        worse[-1] /= error(estimate[inward > 30], background[inward > 30])
    assert np.mean(worse) < 1.005


def test_a_highlight_does_not_drown_its_surroundings(scene):
    alpha, foreground, background, plate = scene
    lit = plate.copy()
    lit[2, 2] = 1000.0
    made = refine.colours(lit, alpha, foreground, background)[1]
    assert made.max() == 1000
    assert abs(made - background)[alpha > 0].max() < 0.05


def test_colours_of_any_sign_and_size_are_finite():
    rng = np.random.default_rng(3)
    plate, *estimates = rng.choice([-65504.0, -1.0, 0.0, 1e-4, 65504.0], (3, 17, 31, 3)).astype(np.float32)
    made = refine.colours(plate, rng.uniform(size=(17, 31)).astype(np.float32), *estimates)
    assert all(np.isfinite(colour).all() for colour in made)


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("size", [(1, 1), (17, 31), (16, 300)])
def test_a_layer_that_is_nowhere_seen_stays_the_models(size, value):
    rng = np.random.default_rng(4)
    plate, foreground, background = rng.uniform(size=(3, *size, 3)).astype(np.float32)
    made = refine.colours(plate, np.full(size, value, np.float32), foreground, background)
    seen, hidden = made if value else made[::-1]
    assert np.array_equal(seen, plate)
    assert np.allclose(hidden, background if value else foreground, atol=1e-6)
