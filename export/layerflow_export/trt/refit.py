"""An engine that was built to be refitted, given the weights of another graph of its form, on the GPU that it is for.

Run as a program it does that, in a process of its own for the reason that `worker` gives.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from layerflow.errors import ModelError
from layerflow.files import atomic_path, prepare_output
from layerflow_export.trt.build import Engine, current_target, has_gpu, with_other_weights, write_report
from layerflow_export.trt.flavour import Flavour
from layerflow_export.trt.graph import Graph
from layerflow_export.trt.report import check_header, checked_engine, read_report, report_path
from layerflow_export.trt.worker import main


def refit_at_runtime(source: Path, graph: Graph, folder: Path, flavour: Flavour) -> Engine | None:
    """The engine `source` with the weights of `graph` in `folder`, under its name; None where that cannot be done.

    That is without a GPU, for an engine that was not built for it, and where TensorRT refuses. Raises OutputError.
    """
    if not (read_report(source).refittable and has_gpu()):
        return None
    try:
        return _refit(source, graph, folder, flavour)
    except ModelError:  # the engine is damaged, another version's or another GPU's, or cannot be refitted after all
        return None


def _refit(source: Path, graph: Graph, folder: Path, flavour: Flavour) -> Engine:
    start, path = time.monotonic(), folder / source.name
    report = checked_engine(source, flavour, target=current_target())
    prepare_output([path, report_path(path)], num_bytes=report.engine_bytes, sources=[source], may_exist=False)
    with atomic_path(path) as part:
        job = {"onnx": str(graph.path), "source": str(source), "engine": str(part), "log": os.devnull}
        worker = [sys.executable, "-m", "layerflow_export.trt.refit"]
        ended = subprocess.run(worker, input=json.dumps(job), capture_output=True, text=True)
        if ended.returncode:
            raise ModelError(f"{source} cannot be refitted; build it anew")
        check_header(part, flavour, report.targets)
        refitted = with_other_weights(report, graph, part, seconds=time.monotonic() - start)
    write_report(path, refitted)
    return Engine(path=path, report=refitted, cached=False)


def replaced(trt: ModuleType, job: dict[str, Any], logger: Any) -> Any:
    """The engine in `job` with the weights of its graph as bytes, still refittable; None when that failed."""
    runtime = trt.Runtime(logger)
    engine = runtime.deserialize_cuda_engine(Path(job["source"]).read_bytes())
    if engine is None or not engine.refittable:
        return None
    refitter = trt.Refitter(engine, logger)
    onnx_refitter = trt.OnnxParserRefitter(refitter, logger)
    if not onnx_refitter.refit_from_file(job["onnx"]) or not refitter.refit_cuda_engine():
        return None
    serialization = engine.create_serialization_config()
    serialization.set_flag(trt.SerializationFlag.INCLUDE_REFIT)
    return engine.serialize_with_config(serialization)


if __name__ == "__main__":
    sys.exit(main(replaced))
