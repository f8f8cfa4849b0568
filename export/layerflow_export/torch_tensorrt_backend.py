"""The backend `torch-tensorrt`: the network's core by torch.compile, as one TensorRT engine for each shape it meets."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from layerflow.denoisers import Network
from layerflow.errors import RequestError
from layerflow.models.cache import cache_path
from layerflow.models.float8 import refuse_float8
from layerflow.models.folder import reason_of
from layerflow.transformer import LayerFlowTransformer
from layerflow_export.block_switch import is_offloaded
from layerflow_export.core import INPUTS, ExportCore, denoiser

MODULE = BACKEND = "torch_tensorrt"  # importing the one registers the other with torch.compile
CACHE_BYTES = 16 * 2**30

OPTIONS: dict[str, Any] = {
    "pass_through_build_failures": True,  # or torch would run what TensorRT cannot, and nobody would know
    "immutable_weights": False,  # an engine is kept without its weights, and takes those of another LoRA
    "cache_built_engines": True,
    "reuse_cached_engines": True,
    "engine_cache_size": CACHE_BYTES,
}


def why_not() -> str | None:
    """In one sentence why the backend cannot run here; None where it can."""
    if find_spec(MODULE) is None:
        return "Torch-TensorRT is not installed; pip install torch-tensorrt, of the version that goes with this torch"
    if not torch.cuda.is_available():
        return "the backend torch-tensorrt needs an NVIDIA GPU; leave --backend auto"
    return None


def torch_tensorrt_denoiser(transformer: LayerFlowTransformer, *, prepared: bool = False) -> Network:
    """A denoiser whose core is compiled at the first step of each shape; engines are kept in the cache folder.

    Raises RequestError for what cannot run here, and whenever it is asked for something `prepared`.
    """
    if reason := why_not():
        raise RequestError(reason)
    if prepared:
        raise RequestError("torch-tensorrt compiles while it runs; name it with --backend torch-tensorrt")
    refuse_float8(transformer, "torch-tensorrt")
    if is_offloaded(transformer):
        raise RequestError("the backend torch-tensorrt needs the whole transformer; take --memory full or balanced")
    try:
        importlib.import_module(MODULE)
    except (ImportError, OSError, RuntimeError) as error:  # the last where it finds no library that fits
        raise RequestError(
            f"Torch-TensorRT cannot be loaded ({reason_of(error)}); install it for this torch"
        ) from error
    options = {**OPTIONS, "engine_cache_dir": str(cache_path() / "torch-tensorrt")}
    core = torch.compile(ExportCore(transformer), backend=BACKEND, fullgraph=True, dynamic=False, options=options)

    def run(inputs: Mapping[str, Tensor]) -> Tensor:
        v: Tensor = core(*(inputs[name] for name in INPUTS))
        return v

    return denoiser(transformer, run)
