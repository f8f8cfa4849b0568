"""The backend "onnxruntime": the network's core as an ONNX graph, on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import onnxruntime
import torch
from onnxruntime.capi import onnxruntime_pybind11_state as failures
from torch import Tensor

from layerflow.denoisers import Network
from layerflow.errors import ModelError, RequestError
from layerflow.transformer import LayerFlowTransformer
from layerflow_export.core import OUTPUT, denoiser
from layerflow_export.graph_cache import cached_graph
from layerflow_export.manifest import GRAPH

_FAILURES = (  # they have no common base but Exception
    failures.Fail,
    failures.InvalidArgument,
    failures.InvalidGraph,
    failures.InvalidProtobuf,
    failures.NoSuchFile,
    failures.NotImplemented,
    failures.RuntimeException,
)


def onnxruntime_denoiser(transformer: LayerFlowTransformer) -> Network:
    """A denoiser that runs `transformer`'s graph, exported at its first use and kept in the cache folder.

    A wish to stop is heard between two steps. Raises RequestError for what onnxruntime cannot run here.
    """
    if transformer.dtype == torch.bfloat16:
        raise RequestError("onnxruntime cannot run bfloat16 on a CPU; use --precision float32 or --backend eager")
    if any(weight.is_meta for weight in transformer.parameters()):
        raise RequestError("onnxruntime needs the whole network in memory; use --memory full or --backend eager")
    _refuse_device(transformer.device)
    return denoiser(transformer, open_graph(cached_graph(transformer) / GRAPH))


def open_graph(path: Path) -> Callable[[Mapping[str, Tensor]], Tensor]:
    """A function from the inputs of the graph at `path`, by name and on the CPU, to its output."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors, which also raise
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except _FAILURES as error:
        raise _explained(error) from error

    def run(inputs: Mapping[str, Tensor]) -> Tensor:
        _refuse_device(inputs["latents"].device)
        try:
            (v,) = session.run([OUTPUT], {name: value.numpy(force=True) for name, value in inputs.items()})
        except _FAILURES as error:
            raise _explained(error) from error
        return torch.from_numpy(v)

    return run


def _refuse_device(device: torch.device) -> None:
    if device.type != "cpu":
        raise RequestError(f"onnxruntime runs on the CPU here, not on {device}; use --device cpu or --backend eager")


def _explained(error: Exception) -> Exception:
    """What onnxruntime failed of, in the engine's words: it goes on in less memory where that was the reason."""
    reason = str(error).strip().partition("\n")[0]
    if "allocate" in reason:
        return MemoryError(reason)
    return ModelError(f"onnxruntime cannot run this model ({reason}); use --backend eager")
