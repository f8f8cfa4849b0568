"""What every quality leaves out and what that changes: `python benchmarks/quality.py [CLIPS [STEPS ...] [WAY ...]]`.

Decomposes CLIPS (64) held-out clips and generates as many from their captions with the bundled model, in each of the
numbers of STEPS (12 50), exactly and by every other quality and way of doing less, with the same seeds. Prints the
share of the network's blocks that ran, the PSNR of each layer as the model makes it, the mean absolute error of the
matte and its overlap, cut at 0.5: all against exact, and means over the clips. The worst MAE is of any clip. With WAYs,
such as `high draft`, only of those.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import mean

import numpy as np
import torch
from torch import Tensor, nn

from layerflow.evaluate.clips import clip_of
from layerflow.evaluate.mattes import iou
from layerflow.evaluate.pictures import psnr
from layerflow.layout import Task
from layerflow.models.load import Engine, LoadOptions, load_engine
from layerflow.models.shelf import find_model
from layerflow.pipeline import make_clip
from layerflow.quality import EXACT, QUALITIES
from layerflow.sampler import Sampler, with_constant_guidance
from layerflow.step_cache import Reuse
from layerflow.training.clips import ClipBatch
from layerflow.training.heldout import heldout_clips

TASKS: tuple[Task, ...] = ("generate", "decompose")
WEIGHT = 3.82  # the mean of the released guidance over 50 steps; the bundled model's own is 1


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way of doing less, and the exact run it is held against."""

    name: str
    sampler: Sampler
    exact: Sampler
    reuse: Reuse | None = None


@contextmanager
def counting(transformer: nn.Module) -> Iterator[list[int]]:
    """Within it, the list grows by the rows of its batch with every block that really runs."""
    rows: list[int] = []

    def count(module: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> None:
        rows.append(len(kwargs["hidden_states"]))

    blocks = transformer.transformer_blocks
    hooks = [block.attn1.register_forward_pre_hook(count, with_kwargs=True) for block in blocks]
    try:
        yield rows
    finally:
        for hook in hooks:
            hook.remove()


def ways(own: Sampler) -> list[Way]:
    """Every quality, what was not taken, and both again with guidance, which the bundled model does without."""
    guided = with_constant_guidance(own, WEIGHT)
    high, half = QUALITIES["high"].reuse, own.num_steps // 2
    assert high is not None
    return [
        *_qualities("", own),
        Way(name="high, the alpha as the rest", sampler=own, exact=own, reuse=replace(high, alpha_limit=high.limit)),
        Way(name=f"sde, {half} steps", sampler=replace(own, num_steps=half), exact=own),
        Way(name=f"ode, {half} steps", sampler=replace(own, num_steps=half, kind="ode"), exact=own),
        *_qualities(f", guidance {WEIGHT}", guided),
        *(_guided_from(guided, timestep) for timestep in (200, 400)),
    ]


def _qualities(suffix: str, own: Sampler) -> list[Way]:
    return [
        Way(name=f"{name}{suffix}", sampler=quality.sampler(own), exact=own, reuse=quality.reuse)
        for name, quality in QUALITIES.items()
        if quality != EXACT
    ]


def _guided_from(own: Sampler, timestep: int) -> Way:
    sampler = replace(own, guidance=replace(own.guidance, guided_from=timestep))
    return Way(name=f"exact, guidance {WEIGHT} from {timestep}", sampler=sampler, exact=own)


def run(
    engine: Engine, task: Task, truth: ClipBatch, index: int, sampler: Sampler, reuse: Reuse | None = None
) -> tuple[dict[str, np.ndarray], int]:
    """The layers that the model makes, `[F, 3, H, W]`, and the block rows that ran for them."""
    clip = clip_of(engine, task, truth, index)
    with torch.inference_mode(), counting(engine.transformer) as rows:
        layers = make_clip(engine, clip, sampler, reuse=reuse)
    return {name: pixels.numpy() for name, pixels in layers.items() if not clip.layout.is_given(name)}, sum(rows)


def differences(made: dict[str, np.ndarray], exact: dict[str, np.ndarray]) -> dict[str, float]:
    pictures = [name for name in exact if name != "alpha"]
    matte, true_matte = (layers["alpha"].mean(axis=1) for layers in (made, exact))
    whole = [np.stack([layers[name] for name in pictures]) for layers in (made, exact)]
    return {
        "picture": psnr(*whole),
        **{name: psnr(made[name], exact[name]) for name in pictures},
        "matte MAE": float(np.abs(matte - true_matte).mean()),
        "matte IoU": iou(matte > 0.5, true_matte > 0.5),
    }


def results(
    engine: Engine, task: Task, truth: ClipBatch, steps: int, names: Sequence[str] = ()
) -> Iterator[tuple[str, dict[str, float]]]:
    """Each way's name and figures: the share of the blocks that ran, means over the clips, the worst matte's error.

    With `names`, only of those ways.
    """
    own, count = replace(engine.folder.sampler(task), num_steps=steps), len(truth.blended)
    exact: dict[Sampler, list[tuple[dict[str, np.ndarray], int]]] = {}
    for way in ways(own):
        if names and way.name not in names:
            continue
        if way.exact not in exact:
            exact[way.exact] = [run(engine, task, truth, index, way.exact) for index in range(count)]
        found, blocks = [], 0
        for index, (reference, _) in enumerate(exact[way.exact]):
            made, ran = run(engine, task, truth, index, way.sampler, way.reuse)
            found.append(differences(made, reference))
            blocks += ran
        means = {key: mean(each[key] for each in found) for key in found[0]}
        share = blocks / sum(ran for _, ran in exact[way.exact])
        yield way.name, {"blocks": share, **means, "worst MAE": max(each["matte MAE"] for each in found)}


def main(*arguments: str) -> None:
    clips, *steps = [int(text) for text in arguments if text.isdecimal()] or [64]
    names = [text for text in arguments if not text.isdecimal()]
    engine, truth = bundled(), heldout_clips(clips)
    for number in steps or (12, 50):
        for task in TASKS:
            for name, figures in results(engine, task, truth, number, names):
                print(f"{task}, {number} steps, {name}:", ", ".join(f"{key} {x:.4g}" for key, x in figures.items()))
                sys.stdout.flush()


def bundled(device: str = "auto") -> Engine:
    """The bundled model, its blocks called one after another."""
    return load_engine(find_model("mini"), LoadOptions(device=device, backend="eager"))


if __name__ == "__main__":
    main(*sys.argv[1:])
