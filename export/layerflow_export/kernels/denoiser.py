"""The backend `kernels`: the transformer on the fused kernels, where there is an NVIDIA GPU to run them."""

from __future__ import annotations

from importlib.util import find_spec

import torch
from torch import Tensor

from layerflow.denoisers import Network
from layerflow.errors import RequestError
from layerflow.transformer import LayerFlowTransformer

HOOKS = ("_hf_hook", "_diffusers_hook")  # where accelerate and diffusers leave theirs


def fused(transformer: LayerFlowTransformer) -> Network:
    """`transformer` on the fused kernels. Raises RequestError where they cannot run, at load or at the first call."""
    if not torch.cuda.is_available():
        raise no_gpu()
    if find_spec("triton") is None:
        raise RequestError('the backend kernels needs Triton; install it with pip install "layerflow[kernels]"')
    refuse_offloaded(transformer)
    from layerflow_export.kernels.blocks import apply_kernels

    network = apply_kernels(transformer.eval())

    def on_gpu(latents: Tensor, timestep: Tensor, text: Tensor, layer_index: Tensor, given: Tensor | None) -> Tensor:
        if latents.device.type != "cuda":
            raise no_gpu()
        v: Tensor = network(latents, timestep, text, layer_index, given)
        return v

    return on_gpu


def no_gpu() -> RequestError:
    """What is said where the kernels have nothing to run on."""
    return RequestError("the backend kernels needs an NVIDIA GPU; leave --backend auto")


def refuse_offloaded(transformer: LayerFlowTransformer) -> None:
    """Raises RequestError where single layers or blocks travel, which happens around the forward that is replaced."""
    if any(hasattr(module, hook) for module in transformer.modules() for hook in HOOKS):
        raise RequestError("the backend kernels needs the whole transformer on the GPU; take --memory balanced")
