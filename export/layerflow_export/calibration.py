"""The largest numbers that enter the big linear layers while a model samples, from which fixed FP8 scales come.

FP8 numbers are floating: what is smaller than the largest is held as finely for its size, over four decades. So a few
clips are enough, and one outlier coarsens nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from layerflow.evaluate.clips import clip_of
from layerflow.models.float8 import big_linears
from layerflow.models.folder import ModelFolder
from layerflow.models.load import LoadOptions, load_engine
from layerflow.pipeline import make_clip
from layerflow.sampler import Sampler, with_constant_guidance
from layerflow.training.heldout import heldout_clips

CLIPS = (62, 63)  # of the held-out ones, the last: errors are measured on the first
NUM_STEPS = 8
WEIGHT = 3.82  # the mean of the released guidance, for a model that does without


def calibrate(folder: ModelFolder, *, lora: Sequence[str] = (), motion: float = 0.0) -> dict[str, float]:
    """The largest absolute input of every big linear layer, by module, over two clips of each of the model's tasks.

    They are sampled on the first GPU, or on the CPU, in a few of the model's own steps, with prompts and without, the
    LoRAs merged. Raises as `load_engine` and `make_clip` do.
    """
    engine = load_engine(folder, LoadOptions(backend="eager", lora=tuple(lora), motion=motion))
    truth = heldout_clips()
    with watching(engine.transformer) as largest, torch.inference_mode():
        for task in folder.manifest.layouts:
            sampler = with_both_halves(replace(folder.sampler(task), num_steps=NUM_STEPS))
            for index in CLIPS:
                make_clip(engine, clip_of(engine, task, truth, index), sampler)
    return largest


def with_both_halves(own: Sampler) -> Sampler:
    """`own`, with guidance if it has none: a user may ask for it."""
    guidance = own.guidance
    needs_one = guidance.jumps or abs(guidance.scale - 1.0) > guidance.skip_within
    return own if needs_one else with_constant_guidance(own, WEIGHT)


@contextmanager
def watching(transformer: nn.Module) -> Iterator[dict[str, float]]:
    """Within it, the largest absolute number that has entered each big linear layer so far, by module."""
    largest = {name: 0.0 for name, _ in big_linears(transformer)}

    def watch(name: str, linear: nn.Linear) -> torch.utils.hooks.RemovableHandle:
        def see(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            largest[name] = max(largest[name], float(inputs[0].abs().max()))

        return linear.register_forward_pre_hook(see)

    hooks = [watch(name, linear) for name, linear in big_linears(transformer)]
    try:
        yield largest
    finally:
        for hook in hooks:
            hook.remove()
