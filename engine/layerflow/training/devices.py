"""Where a training runs: accelerate, opened once for each."""

from __future__ import annotations

from typing import Literal

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState
from torch.distributed.fsdp import MixedPrecisionPolicy

from layerflow.errors import RequestError

# accelerate's own also sums gradients in bfloat16, and has the loss of a step in it, which keeps three digits.
BFLOAT16 = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)

Precision = Literal["float32", "bfloat16"]


def open_accelerator(
    *,
    precision: Precision = "float32",
    accumulation: int = 1,
    device: torch.device | None = None,
    some_unused: bool = False,
) -> Accelerator:
    """accelerate's own choice of devices, or this `device` alone; `some_unused`: not every batch uses every weight.

    Raises RequestError where `accelerate launch` asked for what cannot be had.
    """
    AcceleratorState._reset_state(reset_partial_state=device is not None)  # another training may have run before
    if device is not None and device.type == "cuda":
        torch.cuda.set_device(device)
    accelerator = Accelerator(
        mixed_precision="bf16" if precision == "bfloat16" else "no",
        gradient_accumulation_steps=accumulation,
        cpu=device is not None and device.type == "cpu",
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=some_unused)],
    )
    plugin = accelerator.state.fsdp_plugin if hasattr(accelerator.state, "fsdp_plugin") else None
    if plugin is not None and plugin.fsdp_version != 2:
        raise RequestError("weights are spread by FSDP 2 only; give accelerate launch --fsdp_version 2")
    if plugin is not None and precision == "bfloat16":
        plugin.mixed_precision_policy = BFLOAT16
    return accelerator
