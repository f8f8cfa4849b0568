"""What lower precision changes in a run of the bundled model: `python benchmarks/precision.py [CLIPS [STEPS]]`.

Makes CLIPS (8) held-out clips in STEPS (50) steps by each of the four tasks, in float32 twice, in bfloat16 and in
float16. Starting noise and every later draw are the same; what differs is what the network makes of them. Prints the
largest difference of the final latents and its RMS, in parts of their spread, the PSNR of the made layers as the model
shows them, and the overlap of the two mattes; all but the first are means over the clips.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from statistics import mean

import numpy as np
import torch
from torch import Tensor

from layerflow.evaluate.clips import clip_of
from layerflow.evaluate.mattes import iou
from layerflow.evaluate.pictures import psnr
from layerflow.layout import TASKS, Task
from layerflow.models.load import Engine, LoadOptions, load_engine
from layerflow.models.shelf import find_model
from layerflow.pipeline import make_clip
from layerflow.sampler import SamplerState
from layerflow.training.clips import ClipBatch
from layerflow.training.heldout import heldout_clips

RUNS = {"float32, again": "float32", "bfloat16": "bfloat16", "float16": "float16"}


@dataclass(frozen=True, kw_only=True)
class Made:
    """The end of one run."""

    latents: Tensor  # [1, P, C, h, w]
    layers: dict[str, Tensor]  # what the model made, [F, 3, H, W] in [0, 1]


def run(engine: Engine, task: Task, truth: ClipBatch, index: int, steps: int) -> Made:
    clip, states = clip_of(engine, task, truth, index), list[SamplerState]()
    with torch.inference_mode():
        layers = make_clip(engine, clip, replace(engine.folder.sampler(task), num_steps=steps), on_state=states.append)
    made = {name: pixels for name, pixels in layers.items() if not clip.layout.is_given(name)}
    return Made(latents=states[-1].latents, layers=made)


def differences(one: Made, other: Made) -> dict[str, float]:
    """How far `one` is from `other`, which is float32."""
    error, spread = (one.latents - other.latents).abs(), float(other.latents.std())
    made, exact = (np.stack([pixels.numpy() for pixels in run.layers.values()]) for run in (one, other))
    found = {
        "largest": float(error.max()) / spread,
        "RMS": float(error.square().mean().sqrt()) / spread,
        "PSNR": psnr(made, exact),
    }
    if "alpha" in one.layers:
        mattes = (run.layers["alpha"].mean(dim=1).numpy() > 0.5 for run in (one, other))
        found["matte IoU"] = iou(*mattes)
    return found


def main(clips: int = 8, steps: int = 50) -> None:
    folder, truth = find_model("mini"), heldout_clips(clips)
    exact = load_engine(folder, LoadOptions(precision="float32", backend="eager"))
    reference = {task: [run(exact, task, truth, index, steps) for index in range(clips)] for task in TASKS}
    for name, precision in RUNS.items():
        engine = load_engine(folder, LoadOptions(precision=precision, backend="eager"))
        for task in TASKS:
            found = [
                differences(run(engine, task, truth, index, steps), made) for index, made in enumerate(reference[task])
            ]
            cells = [
                f"{key} {(max if key == 'largest' else mean)(each[key] for each in found):.4g}" for key in found[0]
            ]
            print(f"{name:15} {task:12}", ", ".join(cells), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
