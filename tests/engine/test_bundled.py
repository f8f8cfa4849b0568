"""What the bundled model can do, on the first held-out clips, which are harder than most: floors just below it."""

from __future__ import annotations

import numpy as np
import pytest

from layerflow.evaluate.made import Asked, make
from layerflow.evaluate.score import Evaluation, evaluate_tasks
from layerflow.models.load import load_engine
from layerflow.models.shelf import find_model
from layerflow.training.heldout import heldout_clips

CLIPS = 8

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def scored() -> Evaluation:
    return evaluate_tasks("mini", rows=("decompose", "decompose_rough"), tasks=("decompose",), num_clips=CLIPS)


def test_it_takes_plates_apart(scored: Evaluation) -> None:
    found = scored.scores
    assert found["decompose.matte_iou"] > 0.62 and found["decompose.matte_mae"] < 0.07
    assert found["decompose.background_psnr"] > 24 and found["decompose.model_recomposition_psnr"] > 29


def test_a_rough_roto_makes_it_better(scored: Evaluation) -> None:
    found = scored.scores
    assert found["decompose_rough.matte_iou"] > 0.84
    assert found["decompose_rough.matte_iou"] > found["decompose.matte_iou"]


def test_a_plate_comes_apart_the_same_whatever_the_seed() -> None:
    """In its one step what goes into the network is what is known, and pure noise tells nothing."""
    engine, clips = load_engine(find_model("mini")), heldout_clips(1)
    one, other = (make(engine, Asked.of("decompose", clips, 0, seed=seed, steps=None)) for seed in (0, 77))
    assert all(np.array_equal(one.own.layers[name], pixels) for name, pixels in other.own.layers.items())


def test_every_file_of_it_is_what_was_shipped() -> None:
    assert list(find_model("mini").damaged()) == []
