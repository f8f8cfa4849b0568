"""Measures of pictures, motion and layers: answers known on paper, and each formula once more, slowly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from layerflow.evaluate.layer_scores import (
    background_scores,
    centre_blob,
    layer_scores,
    matte_scores,
    motion_scores,
    rough_matte,
    trivial_scores,
)
from layerflow.evaluate.mattes import iou
from layerflow.evaluate.motion import motion
from layerflow.evaluate.pictures import gmsd, psnr, psnr_where, ssim
from layerflow.evaluate.truth import Truth


def clouds(rng: np.random.Generator, frames: int = 1, height: int = 40, width: int = 60) -> np.ndarray:
    """Smooth colours, [F, H, W, 3] in [0, 1]."""
    noise = ndimage.gaussian_filter(rng.normal(size=(frames, height, width, 3)), (0, 2, 2, 0))
    return (0.5 + 0.4 * noise / np.abs(noise).max()).astype(np.float32)


@pytest.fixture
def truth(rng: np.random.Generator) -> Truth:
    """A box of clouds, a quarter of the frame, over other clouds."""
    alpha = np.zeros((2, 40, 60), np.float32)
    alpha[:, 10:30, 20:50] = 1
    front, behind = clouds(rng, 2), clouds(rng, 2)
    blended = np.where(alpha[..., None] > 0, front, behind)
    return Truth(foreground=front, alpha=alpha, background=behind, blended=blended, prompts={})


def test_psnr_of_a_part() -> None:
    grey = np.full((4, 4, 3), 0.5, np.float32)
    made, where = grey.copy(), np.zeros((4, 4), bool)
    made[0, 0] += 0.1
    where[0, :2] = True
    assert psnr(made, grey) == pytest.approx(-10 * math.log10(0.01 / 16), abs=1e-4)
    assert psnr_where(made, grey, where) == pytest.approx(-10 * math.log10(0.01 / 2), abs=1e-4)
    assert psnr_where(made, grey, ~where) == 100.0
    assert psnr_where(made, grey, where & False) is None


def test_equal_pictures_are_alike(rng: np.random.Generator) -> None:
    pictures = clouds(rng, 2)
    assert ssim(pictures, pictures) == pytest.approx(1.0) and gmsd(pictures, pictures) == 0.0


def test_ssim_of_flat_pictures_on_paper() -> None:
    """Without any variance only the term of the levels is left."""
    one, other = np.full((1, 20, 20, 3), 0.4, np.float32), np.full((1, 20, 20, 3), 0.6, np.float32)
    expected = (2 * 0.4 * 0.6 + 1e-4) / (0.16 + 0.36 + 1e-4)
    assert ssim(one, other) == pytest.approx(expected, rel=1e-5)


def test_ssim_is_the_published_one(rng: np.random.Generator) -> None:
    """By sums over every window of 11 x 11, weighted by the Gaussian."""
    made, truth = (clouds(rng, 1, 15, 16)[..., :1] for _ in range(2))
    place = np.arange(-5, 6)
    bell = np.exp(-(place**2) / (2 * 1.5**2))
    weight = np.outer(bell, bell) / bell.sum() ** 2
    found = []
    for row in range(5, 10):
        for column in range(5, 11):
            x, y = (each[0, row - 5 : row + 6, column - 5 : column + 6, 0].astype(float) for each in (made, truth))
            mx, my = (weight * x).sum(), (weight * y).sum()
            vx, vy, both = (
                (weight * (x - mx) ** 2).sum(),
                (weight * (y - my) ** 2).sum(),
                (weight * (x - mx) * (y - my)).sum(),
            )
            found.append((2 * mx * my + 1e-4) * (2 * both + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4)))
    assert ssim(made, truth) == pytest.approx(np.mean(found), rel=1e-4)


def test_gmsd_sees_edges_and_not_levels(rng: np.random.Generator) -> None:
    picture = clouds(rng)
    blurred = ndimage.gaussian_filter(picture, (0, 2, 2, 0))
    assert gmsd(picture + 0.05, picture) == pytest.approx(0.0, abs=1e-4)
    assert gmsd(picture, picture + np.float32(0.05)) < 1e-4 < 0.02 < gmsd(blurred, picture)


def test_gmsd_is_the_published_one(rng: np.random.Generator) -> None:
    made, truth = clouds(rng), clouds(rng)
    maps = []
    for picture in (made[0], truth[0]):
        luma = 255 * picture.astype(float) @ [0.299, 0.587, 0.114]
        half = ndimage.uniform_filter(luma, 2, mode="mirror")[::2, ::2]
        kernel = np.array([[1, 0, -1]] * 3) / 3
        maps.append(np.hypot(*(ndimage.correlate(half, each, mode="mirror") for each in (kernel, kernel.T))))
    one, other = maps
    expected = ((2 * one * other + 170) / (one**2 + other**2 + 170)).std()
    assert gmsd(made, truth) == pytest.approx(expected, abs=1e-4)


def test_a_pan_moves_and_is_steady(rng: np.random.Generator) -> None:
    wide = clouds(rng, 1, 64, 140)[0]
    pan = np.stack([wide[:, 2 * step : 2 * step + 96] for step in range(4)])
    moved = motion(pan)
    assert moved["flow"] == pytest.approx(2 / 64 * 100, rel=0.05)
    assert moved["warped"] < 0.1 * moved["change"]
    noise = np.stack([clouds(rng, 1, 64, 96)[0] for _ in range(4)])
    assert motion(noise)["warped"] > 0.3 * motion(noise)["change"]


def test_a_still_does_not_move(rng: np.random.Generator) -> None:
    still = np.repeat(clouds(rng), 3, axis=0)
    assert motion(still) == pytest.approx({"flow": 0.0, "change": 0.0, "warped": 0.0}, abs=0.02)
    assert motion(still)["change"] == 0.0
    assert motion(still[:1]) == {"flow": 0.0, "change": 0.0, "warped": 0.0}


def test_motion_is_named_after_its_layer(rng: np.random.Generator) -> None:
    assert set(motion_scores({"background": clouds(rng, 2)})) == {
        "background_flow",
        "background_change",
        "background_warped",
    }


def test_perfect_layers_score_perfectly(truth: Truth) -> None:
    foreground = np.concatenate([truth.foreground, truth.alpha[..., None]], axis=-1)
    scores = layer_scores({"foreground": foreground, "background": truth.background}, truth)
    assert scores.pop("matte_iou") == 1.0
    levels = {name: scores.pop(name) for name in list(scores) if "psnr" in name}
    assert set(levels) == {"foreground_psnr", "background_psnr", "background_psnr_hole", "background_psnr_outside"}
    assert set(levels.values()) == {100.0}
    assert (scores.pop("foreground_ssim"), scores.pop("background_ssim")) == pytest.approx((1, 1))
    assert scores == pytest.approx(dict.fromkeys(scores, 0.0))


def test_a_foreground_without_alpha_has_no_matte(truth: Truth) -> None:
    scores = layer_scores({"foreground": truth.over_grey}, truth)
    assert scores["foreground_psnr"] == 100.0 and not any(name.startswith("matte") for name in scores)


def test_each_part_of_a_background_is_judged_by_itself(truth: Truth) -> None:
    made = truth.background + np.where(truth.alpha[..., None] > 0, 0.1, 0.01).astype(np.float32)
    scores = background_scores(made, truth)
    assert scores["background_psnr_hole"] == pytest.approx(20.0, abs=1e-3)
    assert scores["background_psnr_outside"] == pytest.approx(40.0, abs=1e-3)
    without = Truth(**{**vars(truth), "alpha": np.zeros_like(truth.alpha)})
    assert "background_psnr_hole" not in background_scores(made, without)


def test_a_shifted_matte_on_paper(truth: Truth) -> None:
    """A box of 20 x 30, a tenth of its width to the right: 540 of 660 pixels are in both."""
    scores = matte_scores(np.roll(truth.alpha, 3, axis=2), truth.alpha)
    assert scores["matte_iou"] == pytest.approx(540 / 660)
    assert scores["matte_mae"] == scores["matte_mse"] == pytest.approx(120 / 2400)
    assert scores["matte_dtssd"] == 0.0 and scores["matte_grad"] > 0
    assert "matte_dtssd" not in matte_scores(truth.alpha[:1], truth.alpha[:1])


def test_trivial_answers_by_hand(truth: Truth) -> None:
    scores = trivial_scores(truth)
    assert scores["whole_matte_iou"] == pytest.approx(600 / 2400)
    assert scores["empty_matte_mae"] == pytest.approx(600 / 2400)
    assert scores["plate_background_psnr_outside"] == 100.0 > 20 > scores["plate_background_psnr_hole"]
    blob = centre_blob(40, 60) > 0.5
    assert scores["blob_matte_iou"] == pytest.approx(iou(blob, truth.alpha[0] > 0.5))


def test_a_blob_is_an_ellipse_in_the_middle() -> None:
    blob = centre_blob(200, 300, (0.5, 0.25))
    assert blob.sum() == pytest.approx(math.pi * 100 * 50, rel=0.01)
    assert (blob == blob[::-1, ::-1]).all() and blob[100, 60] == 1.0 > blob[40, 150]


def test_a_rough_matte_is_grown_by_its_share() -> None:
    matte = np.zeros((1, 100, 140), np.float32)
    matte[:, 50, 70] = 0.8
    rough = rough_matte(matte, 0.05)[0]
    rows, columns = np.nonzero(rough)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (45, 55, 65, 75)
    assert np.hypot(rows - 50, columns - 70).max() < 5.7 and rough.max() == np.float32(0.8)
    assert (rough_matte(matte[0], 0.05) == rough).all()
