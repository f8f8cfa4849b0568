"""Another set of LoRAs for an engine: merged into the graph it was built of, and given to it or built again with it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from layerflow.errors import ModelError
from layerflow_export.manifest import GRAPH
from layerflow_export.refit import Refitted, refit_graph
from layerflow_export.trt import flavour as flavours
from layerflow_export.trt.build import Engine, build_engine
from layerflow_export.trt.flavour import CURRENT, Flavour
from layerflow_export.trt.graph import read_graph
from layerflow_export.trt.profile import parse_profile
from layerflow_export.trt.refit import refit_at_runtime
from layerflow_export.trt.report import EngineReport, read_report


@dataclass(frozen=True, kw_only=True)
class RefittedEngine:
    """An engine with other LoRAs than the one it was made from, and its graph."""

    engine: Engine
    graph: Refitted
    way: Literal["refitted", "rebuilt"]  # its weights were replaced on the GPU, or it was built anew


def refit_engine(
    source: Path, target: Path, *, lora: Sequence[str] = (), motion: float = 0.0, model: str | None = None
) -> RefittedEngine:
    """Makes the folder `target` of the engine `source`: the same model with these LoRAs, as an engine and its graph.

    An engine that was built for it gets the graph's weights on the GPU; otherwise the graph is built, with the profile,
    precision and targets of the report of `source`. TensorRT is the one that is here. Raises as `refit_graph` and
    `build_engine` do, and ModelError when the graph is not there.
    """
    flavour = flavours.installed()
    report = read_report(source)
    merged_into = graph_of(source, report)
    graph = target / merged_into.name
    with _undone_on_failure(target, graph):
        refitted = refit_graph(merged_into, graph, lora=lora, motion=motion, model=model)
        merged = read_graph(graph / GRAPH)
        if replaced := refit_at_runtime(source, merged, target, flavour):
            return RefittedEngine(engine=replaced, graph=refitted, way="refitted")
        engine = build_engine(
            merged,
            target,
            profile=parse_profile([f"{name}={sizes}" for name, sizes in report.profile.items()]),
            targets=targets_of(report, flavour),
            name=source.name.partition(f".{report.precision}.")[0],
            model_sha256=report.model_sha256,
            refittable=report.refittable,
        )
    return RefittedEngine(engine=engine, graph=refitted, way="rebuilt")


def graph_of(engine: Path, report: EngineReport) -> Path:
    """The folder beside `engine` with the graph it was built of. Raises ModelError when there is none."""
    for path in sorted(engine.parent.glob(f"[!.]*/{GRAPH}")):
        with contextlib.suppress(ModelError):
            if read_graph(path).sha256 == report.onnx_sha256:
                return path.parent
    raise ModelError(f"no folder in {engine.parent} holds the graph of {engine.name}; build the model with --lora")


def targets_of(report: EngineReport, flavour: Flavour) -> tuple[str, ...]:
    """The GPUs that an engine is for, as `build_engine` takes them: one that has no name is the one that is here."""
    return report.targets if set(report.targets) <= set(flavour.targets) else (CURRENT,)


@contextlib.contextmanager
def _undone_on_failure(target: Path, graph: Path) -> Iterator[None]:
    """Takes the graph away again when no engine came of it, and the folder with it unless something else is in it."""
    try:
        yield
    except BaseException:
        shutil.rmtree(graph, ignore_errors=True)
        with contextlib.suppress(OSError):
            target.rmdir()
        raise
