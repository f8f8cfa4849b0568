"""What a closer look is worth: `python benchmarks/closeup.py [CLIPS [REFINE]]`.

Takes apart CLIPS (32) held-out clips with foregrounds of several sizes, at four times the bundled model's size, once as
ever and once with `--closeup`, and prints how good the mattes are that come out. REFINE (fast) is that of the shots.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

import numpy as np
import torch

from layerflow.evaluate.mattes import iou
from layerflow.exr import read_stack
from layerflow.models.engines import Engines
from layerflow.preview import to_bytes, write_picture
from layerflow.shots import render
from layerflow.training.clips import ClipBatch
from layerflow.training.heldout import heldout_clips
from layerflow.training.render import RenderConfig
from layerflow.wire import Request

WIDTH, HEIGHT = 384, 256
SIZES = {"8 to 20 %": (0.08, 0.2), "20 to 40 %": (0.2, 0.4), "35 to 110 %": (0.35, 1.1)}  # of the frame's height


def main(num_clips: int = 32, refine: str = "fast") -> None:
    torch.set_num_threads(1)
    engines = Engines(keep_s=3600)
    print("| foreground | closer look | matte IoU | alpha MAE | seconds a clip |")
    for name, (low, high) in SIZES.items():
        config = RenderConfig(width=WIDTH, height=HEIGHT, min_scale=low, max_scale=high)
        truth = heldout_clips(num_clips, config=config)
        for closeup in (False, True):
            scores = [score(truth, index, engines, closeup, refine) for index in range(num_clips)]
            overlap, error, seconds = (mean(values) for values in zip(*scores, strict=True))
            look = "yes" if closeup else "no"
            print(f"| {name} | {look} | {overlap:.3f} | {error:.4f} | {seconds:.1f} |", flush=True)


def score(truth: ClipBatch, index: int, engines: Engines, closeup: bool, refine: str) -> tuple[float, float, float]:
    """Overlap of one clip's matte, cut at 0.5, its mean absolute error, and the seconds it took."""
    alpha = truth.alpha[index][..., 0] / np.float32(255)
    foreground, background, blended = truth.captions[index]
    with TemporaryDirectory() as folder:
        for number, picture in enumerate(truth.blended[index], start=1):
            write_picture(Path(folder) / f"plate.{number:04}.png", to_bytes(picture), durable=False)
        request = Request(
            "decompose",
            plate=f"{folder}/plate.%04d.png",
            foreground=foreground,
            background=background,
            blended=blended,
            output=f"{folder}/out/out.%04d.exr",
            closeup=closeup,
            refine=refine,
        )
        started = time.monotonic()
        frames = render(request, engines=engines).frames
        seconds = time.monotonic() - started
        made = read_stack(frames).layers["foreground"][..., 3]
    return iou(made > 0.5, alpha > 0.5), float(np.abs(made - alpha).mean()), seconds


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]), *sys.argv[2:])
