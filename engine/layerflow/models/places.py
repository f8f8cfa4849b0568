"""Where a model runs, and in which precision."""

from __future__ import annotations

import torch

from layerflow.errors import RequestError
from layerflow.models.float8 import FLOAT8, refuse_without_float8

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}  # as a Request names them


def pick_device(name: str) -> torch.device:
    """The device called `name`; "auto" is the first CUDA device or the CPU. Raises RequestError."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device).cpu()  # "meta" keeps no numbers
    except (RuntimeError, AssertionError) as error:
        raise RequestError(f"there is no device {name!r} here; use --device auto, and see layerflow doctor") from error
    return device


def pick_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The type of weights and tokens: "auto" is bfloat16 on CUDA, as released, and float32 elsewhere.

    "float8" is bfloat16 around the layers that it turns to FP8. Raises RequestError where it cannot run.
    """
    if precision == FLOAT8:
        refuse_without_float8(device)
        return torch.bfloat16
    if precision == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return DTYPES[precision]
