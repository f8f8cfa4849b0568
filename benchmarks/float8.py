"""What FP8 linear layers change in a run of the bundled model: `python benchmarks/float8.py [CLIPS [STEPS]]`.

Generates and decomposes CLIPS (6) held-out clips in STEPS (50) steps, in float32 and in lower precisions, with the same
seeds. `float8` is the precision of that name, its layers in plain torch, so that it runs on a CPU. `fp8` is the graph
that an FP8 engine is built of, run by onnxruntime, with float32 for bfloat16, which it cannot run there. Prints the
PSNR of each layer as the model makes it, the mean absolute error of the matte and its overlap, cut at 0.5: all against
float32, and means over the clips. The worst MAE is of any clip.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import mean

import onnxruntime
import torch
from quality import TASKS, differences, run
from torch import Tensor, nn

from layerflow.layout import Task
from layerflow.models.float8 import big_linears, rounded_rows
from layerflow.models.load import Engine, LoadOptions, load_engine
from layerflow.models.shelf import find_model
from layerflow.training.clips import ClipBatch
from layerflow.training.heldout import heldout_clips
from layerflow_export.calibration import calibrate
from layerflow_export.core import denoiser
from layerflow_export.fp8 import export_fp8
from layerflow_export.manifest import GRAPH


def float8_in_torch() -> Engine:
    """The bundled model in float8, whose layers compute what `float8_linear` does; the weights are rounded once."""
    engine = load_engine(find_model("mini"), LoadOptions(precision="bfloat16", backend="eager"))
    for _, linear in big_linears(engine.transformer):
        linear.forward = partial(_product, weight=rounded_rows(linear.weight), bias=linear.bias.float())
    return engine


def _product(x: Tensor, *, weight: Tensor, bias: Tensor) -> Tensor:
    return nn.functional.linear(rounded_rows(x), weight, bias).to(x.dtype)


def fp8_graph(exact: Engine, folder: Path) -> Engine:
    """`exact` with the network of its FP8 graph, which is written to `folder`."""
    export_fp8(exact.transformer, folder, largest=calibrate(exact.folder))
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.disable_quant_qdq", "1")  # it would make products of integers of them
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(folder / GRAPH, options, providers=["CPUExecutionProvider"])

    def core(inputs: Mapping[str, Tensor]) -> Tensor:
        (v,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
        return torch.from_numpy(v)

    return replace(exact, network=denoiser(exact.transformer, core))


def rows(engine: Engine, exact: Engine, task: Task, truth: ClipBatch, steps: int) -> str:
    """One line of differences between `engine` and `exact`."""
    sampler, found = replace(exact.folder.sampler(task), num_steps=steps), []
    for index in range(len(truth.blended)):
        made, right = (run(each, task, truth, index, sampler)[0] for each in (engine, exact))
        found.append(differences(made, right))
    cells = [f"{key} {mean(each[key] for each in found):.4g}" for key in found[0]]
    return ", ".join([*cells, f"worst MAE {max(each['matte MAE'] for each in found):.4f}"])


def main(clips: int = 6, steps: int = 50) -> None:
    truth, folder = heldout_clips(clips), find_model("mini")
    exact = load_engine(folder, LoadOptions(precision="float32", backend="eager"))
    engines = {
        "bfloat16": load_engine(folder, LoadOptions(precision="bfloat16", backend="eager")),
        "float8": float8_in_torch(),
    }
    with tempfile.TemporaryDirectory() as work:
        engines["fp8"] = fp8_graph(exact, Path(work, "graph"))
        for task in TASKS:
            for name, engine in engines.items():
                print(f"{task}, {steps} steps, {name}:", rows(engine, exact, task, truth, steps), flush=True)


if __name__ == "__main__":
    with torch.inference_mode():
        main(*map(int, sys.argv[1:]))
