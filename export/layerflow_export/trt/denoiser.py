"""The backend `tensorrt`: the network's core as an engine of TensorRT or TensorRT-RTX."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from layerflow.denoisers import Network
from layerflow.errors import ModelError, RequestError
from layerflow.models.float8 import precision_of
from layerflow.models.memory import GIB, free_bytes
from layerflow.residence import visiting
from layerflow.transformer import LayerFlowTransformer
from layerflow_export.block_switch import is_offloaded
from layerflow_export.core import denoiser, frames_per_step
from layerflow_export.trt import flavour as flavours
from layerflow_export.trt.build import Engine, current_target
from layerflow_export.trt.engine_cache import cached_engine, engine_content, find_engine, has_engines
from layerflow_export.trt.flavour import CURRENT
from layerflow_export.trt.profile import check_sizes
from layerflow_export.trt.runtime import EngineCore
from layerflow_export.trt.source import default_profile

PRECISIONS = {"bfloat16": "bf16", "float16": "fp16"}  # those in which TensorRT fuses attention


def why_not() -> str | None:
    """In one sentence why the backend cannot run here; None where it can."""
    try:
        flavours.load()
    except RequestError as error:
        return str(error)
    if not torch.cuda.is_available():
        return "the backend tensorrt needs an NVIDIA GPU; leave --backend auto"
    return None


def tensorrt_denoiser(transformer: LayerFlowTransformer, *, prepared: bool = False) -> Network:
    """A denoiser on the engine of exactly `transformer`, built for this GPU and kept in the cache folder.

    With `prepared` only one that is there and fits beside torch's network is taken. Raises RequestError for what cannot
    run here, or not without building; ModelError and MemoryError where TensorRT cannot build or load it.
    """
    if reason := why_not():
        raise RequestError(reason)
    if precision_of(transformer) not in PRECISIONS:
        raise RequestError("the backend tensorrt computes in half types; take --precision bfloat16 or float16")
    if is_offloaded(transformer):
        raise RequestError("the backend tensorrt needs the whole transformer; take --memory full or balanced")
    engine = _engine_of(transformer, prepared)
    if prepared:
        _check_room(engine)
    core, step = EngineCore(engine.path), frames_per_step(transformer)

    def run(inputs: Mapping[str, Tensor]) -> Tensor:
        check_sizes(engine.report.profile, _sizes(inputs, step))
        return core(inputs)

    return denoiser(transformer, run)


def _engine_of(transformer: LayerFlowTransformer, prepared: bool) -> Engine:
    flavour, precision = flavours.installed(), PRECISIONS[precision_of(transformer)]
    if prepared and not has_engines():
        raise RequestError("no TensorRT engine is in the cache folder; build one with layerflow-export build MODEL")
    content = engine_content(transformer)
    try:
        return find_engine(content, precision=precision, flavour=flavour, target=current_target())
    except ModelError as error:
        if prepared:
            raise RequestError(str(error)) from error
    with visiting(transformer, torch.device("cpu")):
        torch.cuda.empty_cache()  # torch keeps what it was given, and the builder is no part of torch
        profile = default_profile(transformer)
        return cached_engine(transformer, content, precision=precision, profile=profile, targets=(CURRENT,))


def _check_room(engine: Engine) -> None:
    """Raises RequestError where the engine beside torch's network would leave no room for a step of either."""
    needed = engine.report.weights_bytes + 2 * engine.report.activation_bytes  # torch makes the first step too
    free = free_bytes(torch.device("cuda"))
    if needed > free:
        raise RequestError(
            f"the engine needs {needed / GIB:.1f} GiB more on the GPU and {free / GIB:.1f} are free; name it with "
            "--backend tensorrt to try"
        )


def _sizes(inputs: Mapping[str, Tensor], frames_per_step: int) -> dict[str, int]:
    """What the dimensions of a profile come to."""
    batch, frames = inputs["latents"].shape[:2]
    rows, columns = inputs["video_table"].shape[1:3]
    return {
        "batch": batch,
        "frames": frames // frames_per_step,
        "rows": rows,
        "columns": columns,
        "text_tokens": inputs["text"].shape[1],
    }
