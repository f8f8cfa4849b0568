"""LayerNorm, its affine, and the modulation by timestep in one pass. B batch, T token, D model width."""

from __future__ import annotations

import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

from layerflow_export.kernels.rows import NUM_WARPS, check, check_shape, normalised, tile


def layer_norm_modulate(
    x: Tensor,  # [B, T, D], any strides with the D side by side: x may be a slice of a longer sequence
    weight: Tensor,  # [D]
    bias: Tensor,  # [D]
    scale: Tensor,  # [B, D], any batch stride: chunks of one projection need no copy
    shift: Tensor,  # [B, D]
    *,
    eps: float = 1e-5,
    out: Tensor | None = None,  # [B, T, D], as x; a slice of the joint sequence saves the copy that joins it
) -> Tensor:
    """`LayerNorm(x) * (1 + scale) + shift`, `[B, T, D]` of x's type. Raises ValueError for other shapes."""
    batch, tokens, width = x.shape
    out = x.new_empty(x.shape) if out is None else out
    check(batch * tokens, width, x, weight, bias, scale, shift, out)
    check_shape("weight", weight, width)
    check_shape("bias", bias, width)
    check_shape("scale", scale, batch, width)
    check_shape("shift", shift, batch, width)
    check_shape("out", out, batch, tokens, width)
    sizes = tile(width)
    layer_norm_modulate_kernel[(triton.cdiv(batch * tokens, sizes["ROWS"]),)](
        *(x, weight, bias, scale, shift, out),
        *(*x.stride()[:2], scale.stride(0), shift.stride(0), *out.stride()[:2]),
        *(batch * tokens, tokens),
        EPS=eps,
        **sizes,
        num_warps=NUM_WARPS,
    )
    return out


def layer_norm_modulate_reference(
    x: Tensor, weight: Tensor, bias: Tensor, scale: Tensor, shift: Tensor, *, eps: float = 1e-5
) -> Tensor:
    """The same in plain torch. Ba et al. 2016, and adaLN of Peebles and Xie 2023, as in CogVideoX."""
    normed = F.layer_norm(x.float(), x.shape[-1:], weight.float(), bias.float(), eps)
    return (normed * (1 + scale.float())[:, None] + shift.float()[:, None]).to(x.dtype)


@triton.jit
def layer_norm_modulate_kernel(
    x: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    scale: tl.tensor,
    shift: tl.tensor,
    out: tl.tensor,
    x_batch: tl.tensor,  # scalars from here on; strides, in numbers
    x_token: tl.tensor,
    scale_batch: tl.tensor,
    shift_batch: tl.tensor,
    out_batch: tl.tensor,
    out_token: tl.tensor,
    num_rows: tl.tensor,  # B * T
    tokens: tl.tensor,
    EPS: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    column = tl.arange(0, BLOCK)[None, :]
    in_width = column < WIDTH
    inside = (row < num_rows) & in_width
    batch = row // tokens
    token = row % tokens
    rows = tl.load(x + batch * x_batch + token * x_token + column, inside, 0.0).to(tl.float32)
    gain = tl.load(weight + column, in_width, 0.0).to(tl.float32)
    offset = tl.load(bias + column, in_width, 0.0).to(tl.float32)
    factor = 1.0 + tl.load(scale + batch * scale_batch + column, inside, 0.0).to(tl.float32)
    summand = tl.load(shift + batch * shift_batch + column, inside, 0.0).to(tl.float32)
    modulated = (normalised(rows, inside, WIDTH, EPS) * gain + offset) * factor + summand
    tl.store(out + batch * out_batch + token * out_token + column, modulated, inside)
