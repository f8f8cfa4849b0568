"""What the kernels share: rows of numbers, a tile of them per program, and what is asked of the tensors they are in."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

TILE = 2048  # numbers per program: one row of the 2B model, whose D is 1920, or several of a narrower one
MAX_WIDTH = 8192  # a row stays in registers, 32 numbers per thread; at twice that a float32 LayerNorm spills
NUM_WARPS = 8
DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def tile(width: int) -> dict[str, int]:
    """Rows and columns of one program's tile, powers of two as Triton wants them."""
    block = triton.next_power_of_2(width)
    return {"WIDTH": width, "ROWS": max(1, TILE // block), "BLOCK": block}


def check(rows: int, width: int, *tensors: Tensor) -> None:
    """Raises ValueError for what no kernel takes; `rows` of `width` numbers are the work."""
    if not (rows and 0 < width <= MAX_WIDTH):
        raise ValueError(f"kernels take rows of 1 to {MAX_WIDTH} numbers, got {rows = }, {width = }")
    for tensor in tensors:
        if torch.is_grad_enabled() and tensor.requires_grad:
            raise ValueError("kernels have no gradients; call them under torch.inference_mode()")
        if tensor.dtype not in DTYPES:
            raise ValueError(f"kernels take float32, float16 or bfloat16, got {tensor.dtype}")
        if tensor.shape[-1] > 1 and tensor.stride(-1) != 1:
            raise ValueError(f"kernels need the numbers of a row side by side, got strides {tensor.stride()}")
        if tensor.device != tensors[0].device:
            raise ValueError(f"kernels need one device, got {tensors[0].device} and {tensor.device}")


def check_shape(name: str, tensor: Tensor, *shape: int) -> None:
    """Raises ValueError unless `tensor` has that shape: a kernel would read past its end."""
    if tensor.shape != shape:
        raise ValueError(f"{name} has the shape {tuple(tensor.shape)}, and {shape} is needed")


@triton.jit
def normalised(x: tl.tensor, inside: tl.tensor, WIDTH: tl.constexpr, EPS: tl.constexpr) -> tl.tensor:
    """Rows `[ROWS, BLOCK]`, float32, with mean 0 and variance 1; `inside` is false past the width, where x is 0."""
    mean = tl.sum(x, axis=1) / WIDTH
    centred = tl.where(inside, x - mean[:, None], 0.0)
    variance = tl.sum(centred * centred, axis=1) / WIDTH  # in a second pass: E[x^2] - E[x]^2 cancels
    return centred * tl.rsqrt(variance + EPS)[:, None]
