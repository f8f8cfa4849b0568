"""Builds one engine, in a process of its own: TensorRT keeps the first logger it is given for as long as it lives.

Reads a job as JSON from stdin, writes the engine and the builder's whole log, and returns 0 when there is an engine.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

from layerflow_export.trt.flavour import CURRENT, load

Make = Callable[[ModuleType, dict[str, Any], Any], Any]  # TensorRT, a job, a logger -> the engine as bytes, or None


def main(make: Make | None = None) -> int:
    """The exit code of one job, a build unless `make` does something else: 0 when there is an engine."""
    job = json.load(sys.stdin)
    trt = load()
    with Path(job["log"]).open("w", encoding="utf-8") as log:
        engine = (make or _build)(trt, job, file_logger(trt, log))
    if engine is None:
        return 1
    with Path(job["engine"]).open("wb") as file:
        file.write(memoryview(engine))
    return 0


def file_logger(trt: ModuleType, log: TextIO) -> Any:
    """A logger that writes everything to `log`."""

    class FileLogger(trt.ILogger):  # type: ignore[misc, name-defined]
        def log(self, severity: Any, message: str) -> None:
            log.write(f"{severity.name}: {message}\n")

    return FileLogger()


def _build(trt: ModuleType, job: dict[str, Any], logger: Any) -> Any:
    """The engine as bytes, or None when the graph cannot be read or built; the log says why."""
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(job["onnx"]):
        return None
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    profile = builder.create_optimization_profile()
    for name, shapes in job["shapes"].items():
        profile.set_shape(name, *shapes)
    config.add_optimization_profile(profile)
    if job["refittable"]:
        config.set_flag(trt.BuilderFlag.REFIT)
    if hasattr(trt, "ComputeCapability"):
        _set_targets(trt, config, job["targets"])
    return builder.build_serialized_network(network, config)


def _set_targets(trt: ModuleType, config: Any, targets: list[str]) -> None:
    config.num_compute_capabilities = len(targets)
    for index, target in enumerate(targets):
        capability = trt.ComputeCapability
        config.set_compute_capability(
            capability.CURRENT if target == CURRENT else capability.__members__[target.upper()], index
        )


if __name__ == "__main__":
    sys.exit(main())
