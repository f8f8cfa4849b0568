"""What each way to fit a plate of another shape costs: `python benchmarks/sizes.py [CLIPS]`.

Decomposes CLIPS (64) held-out clips of every shape, drawn at twice the bundled model's size, and prints the scores of
the layers as the model made them, by the way that the clip met the model's picture.
"""

from __future__ import annotations

import sys
from statistics import mean

import torch

from layerflow.evaluate.made import decompose
from layerflow.evaluate.score import score_clip
from layerflow.models.fitting import fit_to
from layerflow.models.load import load_engine
from layerflow.models.shelf import find_model
from layerflow.preprocess import FitKind
from layerflow.training.heldout import heldout_clips
from layerflow.training.render import RenderConfig

SHAPES = {
    "3:2, the model's own": (192, 128),
    "4:3": (192, 144),
    "square": (160, 160),
    "2:3": (128, 192),
    "9:16": (126, 224),
    "16:9": (224, 126),
    "2.39:1": (248, 104),
}
KINDS: tuple[FitKind, ...] = ("bucket", "pad", "crop")
SCORES = {"matte_iou": ".3f", "matte_mae": ".3f", "foreground_psnr": ".1f", "background_psnr": ".1f"}


def main(num_clips: int = 64) -> None:
    torch.set_num_threads(1)
    engine = load_engine(find_model("mini", "decompose"))
    print(f"| clip | fit | model's picture | {' | '.join(SCORES)} |")
    for name, (width, height) in SHAPES.items():
        truth = heldout_clips(num_clips, config=RenderConfig(width=width, height=height))
        for kind in KINDS:
            fit = fit_to(engine.folder, width=width, height=height, kind=kind)
            made = (decompose(engine, truth, index, steps=None, seed=0, kind=kind)[1] for index in range(num_clips))
            scores = [score_clip(stack, truth, index) for index, stack in enumerate(made)]
            told = (format(mean(score[key] for score in scores), form) for key, form in SCORES.items())
            print(f"| {name} {width}x{height} | {kind} | {fit.columns}x{fit.rows} | {' | '.join(told)} |", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
