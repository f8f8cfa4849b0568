"""What each part of the recipe is worth, on the bundled model: `python benchmarks/ablations.py OUT [MODEL [CLIPS]]`.

OUT is where `layerflow train motion-lora` and `content-lora` left their LoRAs of MODEL (mini). On CLIPS (64) held-out
clips: the mean difference between neighbouring frames of what is generated, by scale of the Motion LoRA; mattes of
plates without and with the Content LoRA; and both tasks without the layer embedding. The noise is always the same.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from layerflow.evaluate.layer_scores import Scores
from layerflow.evaluate.made import Asked, make
from layerflow.evaluate.motion import motion
from layerflow.evaluate.rows import Trial
from layerflow.evaluate.score import mean_scores
from layerflow.evaluate.truth import pictures
from layerflow.models.load import Engine, LoadOptions, load_engine
from layerflow.models.shelf import find_model
from layerflow.training.clips import ClipBatch
from layerflow.training.heldout import heldout_clips

SCALES = (0.0, 0.25, 0.5, 1.0)
MATTES = ("matte_iou", "matte_mae", "model_matte_iou", "model_matte_mae", "background_psnr", "model_recomposition_psnr")
WORDS = ("foreground_prompt", "background_prompt", "model_recomposition_psnr")


def with_lora(model: str, file: Path, scale: float) -> Engine:
    """The model with so much of a LoRA."""
    return load_engine(find_model(model), LoadOptions(lora=(f"{file}:{scale}",) if scale else ()))


def changes(engine: Engine, clips: ClipBatch) -> dict[str, float]:
    """Mean difference between neighbouring frames of each layer that is made from words, in [0, 1]."""
    found: dict[str, list[float]] = {}
    for index in range(len(clips.captions)):
        made = make(engine, Asked.of("generate", clips, index, seed=index, steps=None))
        for name, frames in pictures(made.own).items():
            found.setdefault(name, []).append(motion(frames)["change"])
    return {name: float(np.mean(values)) for name, values in found.items()}


def scores(engine: Engine, clips: ClipBatch, row: Callable[[Trial, int], tuple[Scores, object]]) -> Scores:
    """The mean scores of one row of an evaluation."""
    trial = Trial(engine=engine, clips=clips, steps=None, seed=0)
    return mean_scores([row(trial, index)[0] for index in range(len(clips.captions))])


def without_layer_embedding(model: str) -> Engine:
    """The model, told of no prompt which layer it is about."""
    engine = load_engine(find_model(model), LoadOptions(backend="eager"))
    with torch.no_grad():
        for weight in engine.transformer.layer_embedding.parameters():
            weight.zero_()
    return engine


def told(name: str, found: dict[str, float], wanted: tuple[str, ...]) -> None:
    """One line of what was measured."""
    print(f"{name}: " + ", ".join(f"{key} {found[key]:.4f}" for key in wanted if key in found), flush=True)


def main(out: str, model: str = "mini", num_clips: str = "64") -> None:
    """Prints a line for each way."""
    clips, folder = heldout_clips(int(num_clips)), Path(out)
    still, better = folder / "motion-lora/motion-lora.safetensors", folder / "content-lora/content-lora.safetensors"
    plain = load_engine(find_model(model), LoadOptions(backend="eager"))
    told("decompose", scores(plain, clips, Trial.decompose), MATTES)
    told("generate", scores(plain, clips, Trial.generate), WORDS)
    bare = without_layer_embedding(model)
    told("decompose without layer embedding", scores(bare, clips, Trial.decompose), MATTES)
    told("generate without layer embedding", scores(bare, clips, Trial.generate), WORDS)
    if still.exists():
        for scale in SCALES:
            found = changes(with_lora(model, still, scale), clips)
            told(f"generate, Motion LoRA {scale:g}, mean frame difference", found, tuple(found))
    if better.exists():
        told("decompose, Content LoRA", scores(with_lora(model, better, 1.0), clips, Trial.decompose), MATTES)


if __name__ == "__main__":
    main(*sys.argv[1:])
