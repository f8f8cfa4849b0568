"""A linear layer's bias and the tanh GELU after it, in one pass. B batch, T token, D inner width."""

from __future__ import annotations

import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

from layerflow_export.kernels.rows import NUM_WARPS, check, check_shape, tile


def bias_gelu(
    x: Tensor,  # [B, T, D], contiguous
    bias: Tensor,  # [D]
) -> Tensor:
    """`gelu(x + bias)` in the tanh form, written over x, which is the widest tensor of a block. Returns x.

    Raises ValueError for other shapes and where x is not contiguous.
    """
    width = x.shape[-1]
    num_rows = x.shape[:-1].numel()
    check(num_rows, width, x, bias)
    check_shape("bias", bias, width)
    if not x.is_contiguous():
        raise ValueError(f"bias_gelu writes over a contiguous x, got strides {x.stride()}")
    sizes = tile(width)
    bias_gelu_kernel[(triton.cdiv(num_rows, sizes["ROWS"]),)](x, bias, num_rows, **sizes, num_warps=NUM_WARPS)
    return x


def bias_gelu_reference(x: Tensor, bias: Tensor) -> Tensor:
    """The same in plain torch, x left as it is. Hendrycks and Gimpel 2016, the tanh approximation."""
    return F.gelu(x.float() + bias.float(), approximate="tanh").to(x.dtype)


@triton.jit
def bias_gelu_kernel(
    x: tl.tensor,
    bias: tl.tensor,
    num_rows: tl.tensor,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    column = tl.arange(0, BLOCK)[None, :]
    inside = (row < num_rows) & (column < WIDTH)
    h = tl.load(x + row * WIDTH + column, inside, 0.0).to(tl.float32)
    h += tl.load(bias + column, column < WIDTH, 0.0).to(tl.float32)
    u = 0.7978845608028654 * (h + 0.044715 * h * h * h)  # sqrt(2 / pi)
    # (1 + tanh u) / 2 is the sigmoid of 2 u: Triton has no tanh of its own, and this does not cancel where h << 0.
    tl.store(x + row * WIDTH + column, h * tl.sigmoid(2.0 * u), inside)
