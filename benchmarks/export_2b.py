"""Seconds, bytes and peak memory of the released size, 30 blocks of random weights in bfloat16, to ONNX and an engine.

`python benchmarks/export_2b.py FOLDER [BLOCKS]`; FOLDER gets 7 GB of files. Exporting and building each run in a
process of their own, as `layerflow-export onnx` and `build` would, but without a model folder: the weights are born
in memory. The engine is for 480 x 720 pixels, up to 16 latent frames, and 1 or 2 at a time.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PROFILE = ("batch=1/2/2", "frames=1/16/16", "rows=30", "columns=45", "text_tokens=1/678/678")


def export(folder: Path, num_blocks: int) -> None:
    """Writes the graph of a network of the released size."""
    import torch

    from layerflow.transformer import LayerFlowTransformer
    from layerflow_export.onnx_export import export_onnx

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    transformer = LayerFlowTransformer(num_blocks=num_blocks)
    torch.set_default_dtype(before)
    transformer.requires_grad_(False).eval()
    export_onnx(transformer, folder / "graph")
    num_bytes = sum(file.stat().st_size for file in (folder / "graph").iterdir())
    print(json.dumps({"bytes": num_bytes, "peak_gib": peak_gib()}))


def build(folder: Path) -> None:
    """Builds the engine and prints its report."""
    from layerflow_export.trt.build import build_engine
    from layerflow_export.trt.graph import read_graph
    from layerflow_export.trt.profile import parse_profile

    graph = read_graph(folder / "graph" / "model.onnx")
    engine = build_engine(graph, folder / "engine", profile=parse_profile(PROFILE), targets=("sm86", "sm89", "sm120"))
    report = engine.report.to_dict() | {"builder_s": engine.report.seconds}
    print(json.dumps(report | {"bytes": engine.report.engine_bytes, "peak_gib": peak_gib()}))


def step(name: str, *arguments: str) -> dict[str, Any]:
    """What the step `name` printed, run in a process of its own, and the seconds it took."""
    start = time.monotonic()
    command = [sys.executable, __file__, name, *arguments]
    ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return {**json.loads(ended.stdout), "seconds": time.monotonic() - start}


def peak_gib() -> float:
    """Largest resident memory of this process or of one that it waited for. Linux counts in KiB."""
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 2**20


def main(folder: Path, num_blocks: int) -> None:
    """Measures both steps and prints a row of the table for each."""
    for name, took in (
        ("ONNX graph", step("export", str(folder), str(num_blocks))),
        ("engine", step("build", str(folder))),
    ):
        print(f"| {name} | {took['seconds']:.0f} s | {took['bytes'] / 1e9:.2f} GB | {took['peak_gib']:.1f} GiB |")
    print(json.dumps(took))


if __name__ == "__main__":
    if sys.argv[1] == "export":
        export(Path(sys.argv[2]), int(sys.argv[3]))
    elif sys.argv[1] == "build":
        build(Path(sys.argv[2]))
    else:
        main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 30)
