"""Seconds per step of the bundled model by every backend named, and how far its v is from eager torch's.

`python benchmarks/backends.py onnxruntime`. The inputs are those that a shot's steps have, kept on the way through an
eager run of it. The backends take turns, so that what else the machine does meets them all; the least of each counts.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import Any

import torch

from layerflow.denoisers import Network
from layerflow.models.load import Engine, LoadOptions, load_engine
from layerflow.models.shelf import find_model
from layerflow.pipeline import Clip, make_clip

ROUNDS, CALLS = 9, 5
PROMPTS = {"foreground": "a parrot", "background": "a desert"}


def inputs_of(engine: Engine, task: Any) -> list[tuple[Any, ...]]:
    """What the network is given in every step of a shot of noise."""
    seen: list[tuple[Any, ...]] = []

    def network(*inputs: Any) -> torch.Tensor:
        seen.append(inputs)
        return engine.network(*inputs)

    manifest = engine.folder.manifest
    plate = 2.0 * torch.rand(8, 3, manifest.height, manifest.width, generator=torch.Generator().manual_seed(0)) - 1.0
    given = {} if task == "generate" else {"blended": plate}
    layout = engine.folder.layout(task)
    clip = Clip(layout=layout, prompts=PROMPTS, given=given, seed=1, height=manifest.height, width=manifest.width)
    make_clip(replace(engine, network=network), clip, engine.folder.sampler(task))
    return seen


def seconds(network: Network, inputs: tuple[Any, ...]) -> tuple[float, float]:
    """Seconds of one call on the clock, and of all cores together."""
    clock, cores = time.perf_counter(), time.process_time()
    for _ in range(CALLS):
        network(*inputs)
    return (time.perf_counter() - clock) / CALLS, (time.process_time() - cores) / CALLS


@torch.inference_mode()
def main(names: list[str]) -> None:
    """Prints one line for each task and backend."""
    engines = {name: load_engine(find_model("mini"), LoadOptions(backend=name)) for name in ("eager", *names)}
    for task in ("decompose", "generate"):
        steps = inputs_of(engines["eager"], task)
        taken = [{name: seconds(engine.network, steps[0]) for name, engine in engines.items()} for _ in range(ROUNDS)]
        for name, engine in engines.items():
            clock, cores = (min(each[name][part] for each in taken) for part in (0, 1))
            pairs = [(engine.network(*inputs), engines["eager"].network(*inputs)) for inputs in steps]
            error = max(float((v - eager).abs().max()) for v, eager in pairs)
            parts = max(float((v - eager).abs().max() / eager.abs().max()) for v, eager in pairs)
            print(
                f"{task} {name}: {clock:.4f} s, {cores:.4f} CPU s, difference {error:.1e}, of the largest {parts:.1e}"
            )


if __name__ == "__main__":
    main(sys.argv[1:])
