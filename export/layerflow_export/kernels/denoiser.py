"""The backend `kernels`: the transformer on the fused kernels, where there is an NVIDIA GPU to run them."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec

import torch
from torch import Tensor

from layerflow.denoisers import Network
from layerflow.errors import RequestError
from layerflow.transformer import LayerFlowTransformer
from layerflow_export.attention import attention_choice, torchs_flash_afterwards
from layerflow_export.block_switch import BlockSwitch, refuse_offloaded
from layerflow_export.cuda_graphs import graphed


def why_not() -> str | None:
    """One sentence that says why the backend cannot be used here; None where it can."""
    if not torch.cuda.is_available():
        return "the backend kernels needs an NVIDIA GPU; leave --backend auto"
    if find_spec("triton") is None:
        return 'the backend kernels needs Triton; install it with pip install "layerflow[kernels]"'
    return None


def fused(transformer: LayerFlowTransformer, *, prepared: bool = False) -> Network:
    """`transformer` on the fused kernels. Raises RequestError where they cannot run, at load or at the first call.

    There is nothing to prepare but four kernels, each of which Triton compiles in about a second, once on a machine.
    Weights that stay on the GPU have their steps launched as CUDA graphs.
    """
    if reason := why_not():
        raise RequestError(reason)
    refuse_offloaded(transformer, "kernels")
    from layerflow_export.kernels.blocks import fused_forward

    switch = BlockSwitch(transformer.eval(), partial(fused_forward, attention_choice()))
    core = graphed(transformer)

    def on_gpu(latents: Tensor, timestep: Tensor, text: Tensor, layer_index: Tensor, given: Tensor | None) -> Tensor:
        if latents.device.type != "cuda":
            raise RequestError("the backend kernels needs an NVIDIA GPU; leave --backend auto")
        with torch.cuda.device(latents.device), switch.on(), torchs_flash_afterwards():
            return transformer.around(core, latents, timestep, text, layer_index, given)

    return on_gpu
