"""The scores that `layerflow evaluate` prints, on clips whose right answer is known on paper."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from layerflow import color
from layerflow.errors import ModelError
from layerflow.evaluate.clips import clip_of
from layerflow.evaluate.score import evaluate_model, iou, psnr, score_clip
from layerflow.layers import LayerStack, PictureFormat
from layerflow.models.folder import open_model
from layerflow.models.load import load_engine
from layerflow.training.clips import ClipBatch
from layerflow.training.heldout import heldout_clips

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def truth() -> ClipBatch:
    return heldout_clips(2)


def answer(truth: ClipBatch, index: int, **changes: np.ndarray) -> LayerStack:
    """The true layers of a clip as the engine would give them, but for `changes`, all display-referred."""
    foreground = np.concatenate([truth.foreground[index], truth.alpha[index]], axis=-1) / np.float32(255)
    shown = {"foreground": foreground, "background": truth.background[index] / np.float32(255)} | changes
    shown["blended"] = truth.blended[index]
    layers = {name: color.from_display(pixels.astype(np.float32), "ACEScg") for name, pixels in shown.items()}
    num_frames, height, width = truth.alpha[index].shape[:3]
    return LayerStack(layers=layers, frames=tuple(range(num_frames)), format=PictureFormat(width=width, height=height))


def test_iou_on_paper() -> None:
    matte = np.array([True, True, False, False])
    assert iou(matte, np.array([True, False, True, False])) == pytest.approx(1 / 3)
    assert iou(matte, matte) == iou(matte & False, matte & False) == 1.0
    assert iou(matte, ~matte) == 0.0


def test_psnr_on_paper() -> None:
    grey = np.full((4, 4, 3), 0.5, np.float32)
    assert psnr(grey + 0.1, grey) == pytest.approx(20.0, abs=1e-4)
    assert psnr(grey, grey) == 100.0


@pytest.mark.parametrize("index", [0, 1])
def test_the_truth_scores_as_the_truth(truth: ClipBatch, index: int) -> None:
    score = score_clip(answer(truth, index), truth, index)
    assert score["matte_iou"] == 1.0 and score["alpha_mae"] < 1e-6
    assert min(score["foreground_psnr"], score["background_psnr"]) > 90
    assert score["recomposition_psnr"] > 60  # linear-light over, as the clips were made


def test_each_score_judges_its_own_layer(truth: ClipBatch) -> None:
    best = score_clip(answer(truth, 0), truth, 0)
    plate = score_clip(answer(truth, 0, background=truth.blended[0]), truth, 0)
    assert plate["background_psnr"] == pytest.approx(best["plate_as_background_psnr"], abs=1e-3)
    assert (plate["matte_iou"], plate["foreground_psnr"]) == (best["matte_iou"], best["foreground_psnr"])
    white = np.concatenate([truth.foreground[0], np.full_like(truth.alpha[0], 255)], axis=-1) / 255
    solid = score_clip(answer(truth, 0, foreground=white), truth, 0)
    assert solid["matte_iou"] == pytest.approx(best["whole_frame_iou"]) and solid["matte_iou"] < 0.6
    assert solid["alpha_mae"] == pytest.approx(1 - float(truth.alpha[0].mean()) / 255, abs=1e-5)
    assert solid["background_psnr"] == best["background_psnr"]


def test_a_model_is_scored_the_same_every_time(tiny_model: Path) -> None:
    said = []
    scores = evaluate_model(str(tiny_model), num_clips=2, steps=1, on_event=said.append)
    assert [(event.done, event.total) for event in said] == [(1, 2), (2, 2)]
    assert all(math.isfinite(score) for score in scores.values())
    assert scores == evaluate_model(str(tiny_model), num_clips=2, steps=1)
    assert scores["plate_as_background_psnr"] < 30 and scores["model_background_psnr"] < 30


def test_a_model_of_clips_of_another_length_is_refused(released_model: Path) -> None:
    with pytest.raises(ModelError, match=r"held-out clips have 8 frames and model .* makes 16; score one of 8"):
        evaluate_model(str(released_model), num_clips=1)


def test_a_held_out_clip_is_as_long_as_the_model_s(released_model: Path, truth: ClipBatch) -> None:
    """What is longer than the clip holds its last frame; captions are prompts, and the clip's number is the seed."""
    engine = load_engine(open_model(released_model))
    clip = clip_of(engine, "decompose", truth, 1)
    (given,) = clip.given.values()
    length, own = clip.layout.num_frames, truth.blended.shape[1]
    assert given.shape == (length, 3, clip.height, clip.width) and length > own
    assert (given[own:] == given[own - 1]).all() and (given[0] != given[own - 1]).any()
    assert clip.seed == 1 and [*clip.prompts.values()] == [*truth.captions[1]]
    assert clip_of(engine, "generate", truth, 0).given == {}
