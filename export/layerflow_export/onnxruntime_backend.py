"""The backend "onnxruntime": the network's core as an ONNX graph, its weights from torch's memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnxruntime
import torch
from onnxruntime.capi import onnxruntime_pybind11_state as failures
from torch import Tensor

from layerflow.denoisers import Network, OwnThreads
from layerflow.errors import ModelError, RequestError
from layerflow.models.float8 import refuse_float8
from layerflow.models.memory import GIB, free_bytes
from layerflow.transformer import LayerFlowTransformer
from layerflow_export.core import OPSETS, OUTPUT, denoiser
from layerflow_export.graph_cache import find_skeleton
from layerflow_export.skeleton import Skeleton

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_ELEMENTS = {torch.float32: 1, torch.float16: 10, torch.bfloat16: 16}  # as onnx.TensorProto numbers them
_FAILURES = (  # they have no common base but Exception
    failures.EPFail,
    failures.Fail,
    failures.InvalidArgument,
    failures.InvalidGraph,
    failures.InvalidProtobuf,
    failures.NoSuchFile,
    failures.NotImplemented,
    failures.RuntimeException,
)


def why_not() -> str | None:
    """Why the backend cannot be used on this machine: never, it runs on any CPU."""
    return None


def onnxruntime_denoiser(transformer: LayerFlowTransformer, *, prepared: bool = False) -> Network:
    """A denoiser that runs `transformer`'s graph; a skeleton that is nowhere yet is exported, unless `prepared`.

    onnxruntime packs the weights for itself, so they are in memory twice. A wish to stop is heard between two steps.
    Raises RequestError for what onnxruntime cannot run here.
    """
    refuse_float8(transformer, "onnxruntime")
    if transformer.dtype == torch.bfloat16 and transformer.device.type == "cpu":
        raise RequestError("onnxruntime cannot run bfloat16 on a CPU; use --precision float32 or --backend eager")
    if any(weight.is_meta for weight in transformer.parameters()):
        raise RequestError("onnxruntime needs the whole network in memory; use --memory full or --backend eager")
    _check_room(transformer)
    skeleton = find_skeleton(transformer, OPSETS[transformer.dtype], prepared=prepared)
    run = open_graph(skeleton, transformer)
    network = denoiser(transformer, run)
    return OwnThreads(network, takes_any_size=True) if transformer.device.type == "cpu" else network


def open_graph(skeleton: Skeleton, transformer: LayerFlowTransformer) -> Callable[[Mapping[str, Tensor]], Tensor]:
    """A function from the inputs of `transformer`'s core by name, where it is, to its output."""
    device = transformer.device
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors, which also raise
    tensors = dict(skeleton.tensors(transformer))
    values = [_ort_value(tensor) for tensor in tensors.values()]
    try:
        options.add_external_initializers(list(tensors), values)
        session = onnxruntime.InferenceSession(skeleton.path, options, providers=[_provider(device)])
    except _FAILURES as error:
        raise _explained(error) from error

    def run(inputs: Mapping[str, Tensor]) -> Tensor:
        v = torch.empty_like(inputs["latents"], memory_format=torch.contiguous_format)
        binding = session.io_binding()
        held = {name: value.contiguous() for name, value in inputs.items()}
        try:
            for name, value in held.items():
                binding.bind_input(name, *_where(value), tuple(value.shape), value.data_ptr())
            binding.bind_output(OUTPUT, *_where(v), tuple(v.shape), v.data_ptr())
            session.run_with_iobinding(binding)
        except _FAILURES as error:
            raise _explained(error) from error
        return v

    return run


def _where(value: Tensor) -> tuple[str, int, int]:
    """Device, its number and the element type of `value`, as onnxruntime binds them."""
    return value.device.type, value.device.index or 0, _ELEMENTS[value.dtype]


def _ort_value(tensor: Tensor) -> onnxruntime.OrtValue:
    """`tensor` for onnxruntime, in the same memory."""
    if tensor.dtype == torch.bfloat16:  # numpy has none
        raw = tensor.view(torch.uint16).numpy()
        return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(raw, _ELEMENTS[tensor.dtype])
    return onnxruntime.OrtValue.ortvalue_from_numpy(tensor.numpy())


def _provider(device: torch.device) -> tuple[str, dict[str, str]]:
    """What runs the graph on `device`, on torch's own stream. Raises RequestError where it is not there."""
    name = PROVIDERS.get(device.type, "none")
    if name not in onnxruntime.get_available_providers():
        raise RequestError(
            f"onnxruntime has nothing here that runs on {device}; install onnxruntime-gpu in its place, or use "
            "--backend eager"
        )
    if device.type == "cpu":
        return name, {}
    stream = torch.cuda.current_stream(device).cuda_stream
    return name, {"device_id": str(device.index or 0), "user_compute_stream": str(stream)}


def _check_room(transformer: LayerFlowTransformer) -> None:
    """Raises RequestError where the second copy of the weights, and what packing takes, does not fit."""
    needed = 2 * sum(weight.nbytes for weight in transformer.parameters())
    free = free_bytes(transformer.device)
    if needed > free:
        raise RequestError(
            f"onnxruntime needs {needed / GIB:.1f} GiB more for the weights and {free / GIB:.1f} are free; "
            "use --backend eager"
        )


def _explained(error: Exception) -> Exception:
    """What onnxruntime failed of, in the engine's words: it goes on in less memory where that was the reason."""
    reason = str(error).strip().partition("\n")[0]
    if "allocate" in reason:
        return MemoryError(reason)
    return ModelError(f"onnxruntime cannot run this model ({reason}); use --backend eager")
