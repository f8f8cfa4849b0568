"""Transformers that are larger than the memory they work in: a few blocks at a time are there."""

from __future__ import annotations

import torch
from accelerate import cpu_offload
from accelerate.utils import set_module_tensor_to_device
from diffusers.hooks import apply_group_offloading

from layerflow.transformer import LayerFlowTransformer


def offload_blocks(transformer: LayerFlowTransformer, device: torch.device, dtype: torch.dtype) -> None:
    """Has `transformer`, which is on the CPU, run on `device` in `dtype` with one or two of its blocks there at a time.

    The numbers it gives are those of the whole transformer in `dtype`. On a CPU its weights stay in the memory-mapped
    file they came from, and each layer's are cast while it works; they may be of another type than `dtype`.
    """
    if device.type == "cpu":
        _leave_in_file(transformer, dtype)
        return
    apply_group_offloading(
        transformer,
        onload_device=device,
        offload_device=torch.device("cpu"),
        offload_type="block_level",
        num_blocks_per_group=1,
        use_stream=device.type == "cuda",  # the next block travels while this one works
    )


def _leave_in_file(transformer: LayerFlowTransformer, dtype: torch.dtype) -> None:
    # diffusers' groups do not help here: between two places that are both the CPU, nothing is let go of.
    stored = dict(transformer.named_parameters())
    for name in stored:
        set_module_tensor_to_device(transformer, name, "meta", dtype=dtype)
    for name, buffer in list(transformer.named_buffers()):
        wider = torch.promote_types(buffer.dtype, dtype)  # some of them are float32 whatever the weights are
        set_module_tensor_to_device(transformer, name, "cpu", value=buffer, dtype=wider)
    cpu_offload(transformer, execution_device=torch.device("cpu"), state_dict=stored)
