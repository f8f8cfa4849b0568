"""The scores that `layerflow evaluate` prints, on clips whose right answer is known on paper."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from tiny import NUM_FRAMES, write_tiny_model
from torch import Tensor

from layerflow import color
from layerflow.errors import ModelError
from layerflow.evaluate.clips import clip_of
from layerflow.evaluate.mattes import iou
from layerflow.evaluate.names import MEASURES, WHOSE, meaning, measure_of, whose
from layerflow.evaluate.pictures import psnr
from layerflow.evaluate.rough import rough_clamps
from layerflow.evaluate.rows import ROWS, Trial
from layerflow.evaluate.score import Evaluation, evaluate_model, evaluate_tasks, mean_scores, score_clip
from layerflow.layers import LayerStack, PictureFormat
from layerflow.layout import LAYERS, task_layouts
from layerflow.models.folder import open_model
from layerflow.models.load import Engine, load_engine
from layerflow.pipeline import Clip, make_clip
from layerflow.sampler import Sampler
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
    assert score["matte_iou"] == 1.0 and score["matte_mae"] < 1e-6
    assert min(score["foreground_psnr"], score["background_psnr"]) > 90
    assert score["recomposition_psnr"] > 60  # linear-light over, as the clips were made


def test_each_score_judges_its_own_layer(truth: ClipBatch) -> None:
    best = score_clip(answer(truth, 0), truth, 0)
    plate = score_clip(answer(truth, 0, background=truth.blended[0]), truth, 0)
    assert plate["background_psnr"] == pytest.approx(best["plate_background_psnr"], abs=1e-3)
    assert (plate["matte_iou"], plate["foreground_psnr"]) == (best["matte_iou"], best["foreground_psnr"])
    white = np.concatenate([truth.foreground[0], np.full_like(truth.alpha[0], 255)], axis=-1) / 255
    solid = score_clip(answer(truth, 0, foreground=white), truth, 0)
    assert solid["matte_iou"] == pytest.approx(best["whole_matte_iou"]) and solid["matte_iou"] < 0.6
    assert solid["matte_mae"] == pytest.approx(1 - float(truth.alpha[0].mean()) / 255, abs=1e-5)
    assert solid["background_psnr"] == best["background_psnr"]


def test_a_model_is_scored_the_same_every_time(tiny_model: Path) -> None:
    said = []
    scores = evaluate_model(str(tiny_model), num_clips=2, steps=1, on_event=said.append)
    assert [(event.done, event.total) for event in said] == [(1, 2), (2, 2)]
    assert all(math.isfinite(score) for score in scores.values())
    assert scores == evaluate_model(str(tiny_model), num_clips=2, steps=1)
    assert scores["plate_background_psnr"] < 30 and scores["model_background_psnr"] < 30


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of random weights that goes by a guide, and makes two foregrounds at once."""
    return write_tiny_model(tmp_path_factory.mktemp("models") / "learned", name="learned", further=True)


@pytest.fixture(scope="module")
def scored(learned: Path) -> Evaluation:
    """Every row of it."""
    return evaluate_tasks(str(learned), num_clips=2, steps=1)


def test_every_task_is_scored(scored: Evaluation) -> None:
    assert list(scored.examples) == list(ROWS)
    assert all(len(examples) == 2 for examples in scored.examples.values()) and scored.notes == []
    assert all(math.isfinite(score) for score in scored.scores.values())
    decomposed = {name.removeprefix("decompose.") for name in scored.scores if name.startswith("decompose.")}
    made = {name for name in decomposed if whose(name)[0] == ""}
    assert {f"model_{name}" for name in made} <= decomposed  # beside what an artist gets, what the model made
    assert {"matte_dtssd", "background_psnr_hole", "foreground_gmsd", "recomposition_psnr"} <= made
    assert scored.scores["decompose.recomposition_psnr"] > 60 > scored.scores["decompose.model_recomposition_psnr"]
    assert scored.scores["background.model_recomposition_psnr"] < 60


def test_two_foregrounds_are_scored_each_by_itself(scored: Evaluation) -> None:
    names = {name.removeprefix("decompose_two.") for name in scored.scores if name.startswith("decompose_two.")}
    own = {"matte_iou", "matte_mae", "foreground_psnr"}
    fronts = {f"{which}_{name}" for which in ("first", "second") for name in own}
    made = fronts | {"second_visible_matte_iou", "second_visible_matte_mae", "background_psnr", "background_psnr_hole"}
    assert made <= names and {f"model_{name}" for name in made} <= names
    assert {"plate_background_psnr", "blob_second_matte_iou", "empty_first_matte_mae"} <= names
    assert (
        scored.scores["decompose_two.recomposition_psnr"] > 60 > scored.scores["decompose_two.model_recomposition_psnr"]
    )
    generated = {name for name in scored.scores if name.startswith("generate_two.")}
    words = ("first_prompt", "second_prompt", "background_prompt", "second_coverage", "first_flow", "true_second_flow")
    assert {f"generate_two.{word}" for word in words} <= generated


def test_pictures_of_two_foregrounds_tell_which_is_which(scored: Evaluation) -> None:
    shown = scored.examples["decompose_two"][0].pictures
    assert {"plate", "true first matte", "second matte", "second foreground", "true background"} <= set(shown)
    generated = scored.examples["generate_two"][0]
    assert {"first foreground", "second matte", "blended"} <= set(generated.pictures)
    assert {"first", "second", "background", "blended"} == set(generated.movies) and "foreground2" in generated.prompts


@pytest.mark.parametrize("row", ["decompose_two", "generate_two"])
def test_a_model_of_one_foreground_has_a_note_instead(tiny_model: Path, row: str) -> None:
    found = evaluate_tasks(str(tiny_model), num_clips=1, steps=1, rows=("foreground", row))
    assert list(found.examples) == ["foreground"] and not any(name.startswith(row) for name in found.scores)
    assert found.notes == [f"{row} was not scored: model tiny makes one foreground at a time"]


def test_what_a_task_is_given_is_not_scored(scored: Evaluation) -> None:
    """The layers that a task makes have their motion looked at; a given one's is the clip's own."""
    moving = {name for name in scored.scores if name.endswith("_flow")}
    assert "background.background_flow" in moving and "background.foreground_flow" not in moving
    assert "foreground.foreground_flow" in moving and "foreground.background_flow" not in moving
    assert "generate.foreground_prompt" in scored.scores and "foreground.foreground_prompt" not in scored.scores


def test_the_held_out_clips_are_beside_what_is_made(scored: Evaluation, truth: ClipBatch) -> None:
    change = np.abs(np.diff(truth.background[:2] / 255.0, axis=1)).mean()
    assert scored.scores["background.true_background_change"] == pytest.approx(change, rel=1e-4)


def test_every_score_has_a_meaning(scored: Evaluation) -> None:
    names = [*scored.scores, "real.dog_iou", "real.mean_rough_iou", "generate.background_overall_consistency"]
    assert all(meaning(name) for name in names)
    told = {whose(name.partition(".")[2])[0] for name in scored.scores} - {""}
    assert told == set(WHOSE)
    text = (Path(__file__).parents[2] / "docs" / "evaluate.md").read_text(encoding="utf-8")
    assert [name for name in (*MEASURES, *WHOSE) if f"`{name}`" not in text and f"`{name}_`" not in text] == []
    assert measure_of("decompose.model_matte_mae") is MEASURES["matte_mae"]
    with pytest.raises(KeyError, match="no score"):
        measure_of("decompose.beauty")


def test_clips_that_are_made_up_have_noise_of_their_own(tiny_model: Path, truth: ClipBatch) -> None:
    """Two clips of the same words and pictures come out alike when decomposed, and not when they are generated."""
    twice = ClipBatch(
        **{name: np.repeat(getattr(truth, name)[:1], 2, axis=0) for name in LAYERS},
        captions=truth.captions[:1] * 2,
    )
    trial = Trial(engine=load_engine(open_model(tiny_model)), clips=twice, steps=1, seed=0)
    one = [(name, row.score) for name, row in ROWS.items() if row.num_foregrounds == 1]
    alike = {name: score(trial, 0)[0] == score(trial, 1)[0] for name, score in one}
    assert alike["decompose"] and not alike["background"] and not alike["foreground"]


def test_examples_show_the_middle_frame(scored: Evaluation, truth: ClipBatch) -> None:
    first = scored.examples["decompose"][0]
    assert first.iou is not None and first.prompts["foreground"] == truth.captions[0][0]
    middle = truth.alpha.shape[1] // 2
    assert (first.pictures["true matte"][..., :1] == truth.alpha[0, middle]).all()
    assert np.abs(first.pictures["plate"] / 255 - truth.blended[0, middle]).max() <= 0.5 / 255 + 1e-6
    assert "rough matte given" in scored.examples["decompose_rough"][0].pictures
    generated = scored.examples["generate"][0]
    assert generated.pictures["background"].shape == (64, 2 * 96, 3) and generated.movies["blended"].shape[0] == 8


def test_a_task_alone(tiny_model: Path) -> None:
    found = evaluate_tasks(str(tiny_model), tasks=("foreground",), num_clips=1, steps=1)
    assert list(found.examples) == ["foreground"]


def test_a_model_without_a_task_says_so(tmp_path: Path) -> None:
    every = task_layouts(NUM_FRAMES, 2)
    only = write_tiny_model(tmp_path / "only", layouts={"decompose": every["decompose"]})
    found = evaluate_tasks(str(only), num_clips=1, steps=1, rows=("decompose",))
    assert list(found.examples) == ["decompose"]
    assert [note.partition(":")[0] for note in found.notes] == [
        f"{task} was not scored" for task in ("generate", "background", "foreground")
    ]
    with pytest.raises(ModelError, match="cannot generate"):
        evaluate_tasks(str(only), tasks=("decompose", "generate"), num_clips=1)


def test_a_mean_is_over_those_that_have_it() -> None:
    assert mean_scores([{"a": 1.0, "b": 2.0}, {"a": 3.0}]) == {"a": 2.0, "b": 2.0}


def test_a_rough_roto_gives_away_what_is_out_alone(truth: ClipBatch) -> None:
    """A model that takes an alpha is shown the rough one; another one only knows where there is nothing."""
    layouts, alpha = task_layouts(NUM_FRAMES, 2), truth.alpha[0][..., 0] / np.float32(255)
    free, native = (rough_clamps(alpha, layouts[task]) for task in ("decompose", "background"))
    for clamps, matte in zip(free, alpha, strict=True):
        assert (clamps.low == 0).all() and clamps.guess is None
        assert (clamps.high[matte > 0.02] == 1).all() and (clamps.high == 0).any()
    assert all((each.guess >= matte).all() for each, matte in zip(native, alpha, strict=True))


def test_a_rough_roto_is_kept_to(scored: Evaluation) -> None:
    """Outside of it there is no foreground, so a random model's matte gets nearer to the truth."""
    assert scored.scores["decompose_rough.matte_mae"] < scored.scores["decompose.matte_mae"]
    assert scored.scores["decompose_rough.rough_matte_iou"] > 0.4


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


def test_a_model_that_has_learned_to_go_by_a_guide_is_shown_it(
    truth: ClipBatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Clip] = []

    def made(engine: Engine, clip: Clip, sampler: Sampler) -> dict[str, Tensor]:
        asked.append(clip)
        return make_clip(engine, clip, sampler)

    monkeypatch.setattr("layerflow.evaluate.made.make_clip", made)
    engine = load_engine(open_model(write_tiny_model(tmp_path / "guided", further=True)))
    trial = Trial(engine=engine, clips=truth, steps=1, seed=0)
    trial.decompose(0)
    trial.decompose_rough(0)
    without, by_guide = asked
    assert "guide" not in without.layout.layers and without.hint is None
    assert by_guide.layout.is_given("guide") and by_guide.given["guide"].max() == 1
    assert by_guide.hint is not None and by_guide.hint.trust.equal(by_guide.hint.certain)
