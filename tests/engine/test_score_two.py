"""Scores of clips of two foregrounds, on layers whose right answer is known on paper."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from layerflow import color
from layerflow.evaluate.made import MadeClip
from layerflow.evaluate.truth import Truth
from layerflow.evaluate.two import trivial_two_scores, two_scores, visible_matte_scores
from layerflow.layers import LayerStack, PictureFormat
from layerflow.training.clips import ClipBatch, encode_srgb, linear_table
from layerflow.training.heldout import SECOND, heldout_clips

CLIP = 3  # a third of whose second foreground is hidden


@pytest.fixture(scope="module")
def clips() -> ClipBatch:
    return heldout_clips(CLIP + 1, num_foregrounds=2)


def answer(clips: ClipBatch, **changes: np.ndarray) -> MadeClip:
    """The true layers as the engine would give them, but for `changes`, all display-referred."""
    assert clips.second is not None
    first = np.concatenate([clips.foreground[CLIP], clips.alpha[CLIP]], axis=-1)
    true = {"foreground1": first, "foreground2": clips.second[CLIP], "background": clips.background[CLIP]}
    shown = {name: pixels / np.float32(255) for name, pixels in true.items()} | changes
    shown["blended"] = clips.blended[CLIP]
    layers = {name: color.from_display(pixels.astype(np.float32), "ACEScg") for name, pixels in shown.items()}
    num_frames, height, width = clips.alpha[CLIP].shape[:3]
    stack = LayerStack(layers=layers, frames=tuple(range(num_frames)), format=PictureFormat(width=width, height=height))
    return MadeClip(delivered=stack, own=stack)


def test_the_clips_are_those_of_one_foreground_with_another_behind_it(clips: ClipBatch) -> None:
    one, all_of_one = heldout_clips(CLIP + 1), heldout_clips()
    assert clips.second is not None
    for name in ("foreground", "alpha", "background"):
        np.testing.assert_array_equal(getattr(clips, name), getattr(one, name))
    light = linear_table()[clips.background].astype(np.float64)
    for layer in (clips.second, np.concatenate([clips.foreground, clips.alpha], axis=-1)):
        weight = layer[..., 3:] / 255
        light = weight * linear_table()[layer[..., :3]] + (1 - weight) * light
    np.testing.assert_allclose(clips.blended, encode_srgb(light.astype(np.float32)), atol=3e-4)
    for told, (first, behind, _) in zip(clips.captions, one.captions, strict=True):
        assert told[:2] == (first, behind) and told[2] == f"{first} and {told[3]} in front of {behind}"
    assert any((clips.second[0, 0, ..., 3] == frame[..., 0]).all() for frame in all_of_one.alpha[SECOND])


def test_of_every_held_out_clip_some_of_the_second_is_to_be_seen() -> None:
    clips = heldout_clips(num_foregrounds=2)
    assert clips.second is not None
    second, hidden = clips.second[..., 3] > 127, clips.alpha[..., 0] > 127
    shares = (second & ~hidden).sum(axis=(1, 2, 3)) / second.sum(axis=(1, 2, 3))
    assert shares.min() > 0.2 and 0.7 < shares.mean() < 0.9
    assert (clips.second == clips.second[:, :1]).all(axis=(1, 2, 3, 4)).sum() >= 20  # a frozen clip is frozen whole


def test_the_truth_scores_as_the_truth(clips: ClipBatch) -> None:
    scores = two_scores(answer(clips), Truth.of(clips, CLIP))
    for front in ("first", "second"):
        assert scores[f"{front}_matte_iou"] == 1.0 and scores[f"{front}_matte_mae"] < 1e-6
        assert scores[f"{front}_foreground_psnr"] > 90
    assert scores["second_visible_matte_iou"] == 1.0 and scores["background_psnr"] > 90
    assert scores["recomposition_psnr"] > 60
    assert {f"model_{name}" for name in scores if not name.startswith("model_")} <= set(scores)


def test_the_other_order_is_wrong(clips: ClipBatch) -> None:
    truth, right = Truth.of(clips, CLIP), answer(clips)
    assert truth.second is not None
    first = np.concatenate([truth.foreground, truth.alpha[..., None]], axis=-1)
    scores = two_scores(answer(clips, foreground1=truth.second, foreground2=first), truth)
    assert max(scores["first_matte_iou"], scores["second_matte_iou"], scores["second_visible_matte_iou"]) < 0.5
    assert scores["background_psnr"] == two_scores(right, truth)["background_psnr"]


def test_what_is_hidden_counts_in_the_whole_alone(clips: ClipBatch) -> None:
    truth = Truth.of(clips, CLIP)
    assert truth.second is not None
    cut = truth.second.copy()
    cut[truth.alpha > 0.5, 3] = 0
    scores = two_scores(answer(clips, foreground2=cut), truth)
    assert scores["second_visible_matte_iou"] == 1.0 and scores["second_visible_matte_mae"] < 3e-3  # soft edges
    seen = (truth.second[..., 3] > 0.5) & (truth.alpha <= 0.5)
    assert scores["second_matte_iou"] == pytest.approx(seen.sum() / (truth.second[..., 3] > 0.5).sum()) and seen.any()
    assert scores["second_matte_iou"] < 1


def test_what_cannot_be_seen_is_not_scored(clips: ClipBatch) -> None:
    truth = replace(Truth.of(clips, CLIP), alpha=np.ones_like(Truth.of(clips, CLIP).alpha))
    assert visible_matte_scores({"first": truth.alpha, "second": truth.alpha}, truth) == {}


def test_a_first_matte_that_takes_both_leaves_nothing_of_the_second(clips: ClipBatch) -> None:
    truth = Truth.of(clips, CLIP)
    mattes = {name: each.alpha for name, each in truth.fronts.items()}
    assert visible_matte_scores(mattes, truth) == {"visible_matte_iou": 1.0, "visible_matte_mae": 0.0}
    assert visible_matte_scores({**mattes, "first": truth.covered}, truth)["visible_matte_iou"] == 0.0


def test_the_hole_is_behind_both(clips: ClipBatch) -> None:
    truth = Truth.of(clips, CLIP)
    assert truth.second is not None
    either = (truth.alpha > 0.5) | (truth.second[..., 3] > 0.5)
    assert not (either & ~truth.hole).any() and truth.hole.sum() < 1.1 * either.sum()
    trivial = trivial_two_scores(truth)
    assert trivial["plate_background_psnr_hole"] < 25 < trivial["plate_background_psnr_outside"]
    assert trivial["empty_second_matte_mae"] == pytest.approx(float(truth.second[..., 3].mean()))
    assert trivial["both_first_matte_iou"] == pytest.approx((truth.alpha > 0.5).sum() / truth.hole.sum())
    assert trivial["both_second_matte_iou"] > 0.3
    assert trivial["whole_first_matte_iou"] == pytest.approx(float((truth.alpha > 0.5).mean()))
