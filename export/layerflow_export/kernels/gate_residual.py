"""What a block adds to its residual stream, gated by timestep, in one pass. B batch, T token, D model width."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from layerflow_export.kernels.rows import NUM_WARPS, check, check_shape, tile


def gate_residual(
    x: Tensor,  # [B, T, D], any strides with the D side by side
    y: Tensor,  # [B, T, D], as x; of its own strides
    gate: Tensor,  # [B, D], any batch stride
) -> Tensor:
    """`x + gate * y`, `[B, T, D]` of x's type, contiguous. Raises ValueError for other shapes."""
    batch, tokens, width = x.shape
    check(batch * tokens, width, x, y, gate)
    check_shape("y", y, batch, tokens, width)
    check_shape("gate", gate, batch, width)
    out, sizes = x.new_empty(x.shape), tile(width)
    gate_residual_kernel[(triton.cdiv(batch * tokens, sizes["ROWS"]),)](
        *(x, y, gate, out),
        *(*x.stride()[:2], *y.stride()[:2], gate.stride(0)),
        *(batch * tokens, tokens),
        **sizes,
        num_warps=NUM_WARPS,
    )
    return out


def gate_residual_reference(x: Tensor, y: Tensor, gate: Tensor) -> Tensor:
    """The same in plain torch. Peebles and Xie 2023, adaLN-Zero."""
    return (x.float() + gate.float()[:, None] * y.float()).to(x.dtype)


@triton.jit
def gate_residual_kernel(
    x: tl.tensor,
    y: tl.tensor,
    gate: tl.tensor,
    out: tl.tensor,
    x_batch: tl.tensor,  # scalars from here on; strides, in numbers
    x_token: tl.tensor,
    y_batch: tl.tensor,
    y_token: tl.tensor,
    gate_batch: tl.tensor,
    num_rows: tl.tensor,  # B * T
    tokens: tl.tensor,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    column = tl.arange(0, BLOCK)[None, :]
    inside = (row < num_rows) & (column < WIDTH)
    batch = row // tokens
    token = row % tokens
    stream = tl.load(x + batch * x_batch + token * x_token + column, inside, 0.0).to(tl.float32)
    added = tl.load(y + batch * y_batch + token * y_token + column, inside, 0.0).to(tl.float32)
    factor = tl.load(gate + batch * gate_batch + column, inside, 0.0).to(tl.float32)
    tl.store(out + row * WIDTH + column, stream + factor * added, inside)
