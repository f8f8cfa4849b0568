"""LayerNorm of each head of the queries and of the keys, in one pass. B batch, T token, N head, D head width."""

from __future__ import annotations

import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

from layerflow_export.kernels.rows import NUM_WARPS, check, check_shape, normalised, tile


def qk_norm(
    q: Tensor,  # [B, T, N, D], the D side by side; q and k may be chunks of one merged projection
    k: Tensor,  # [B, T, N, D], strides as q's
    q_weight: Tensor,  # [D]
    q_bias: Tensor,  # [D]
    k_weight: Tensor,  # [D]
    k_bias: Tensor,  # [D]
    *,
    eps: float = 1e-6,
) -> tuple[Tensor, Tensor]:
    """Both normalised over D, `[B, T, N, D]` of their type, contiguous.

    Raises ValueError for other shapes, and where the strides of q and k differ.
    """
    batch, tokens, heads, width = q.shape
    check(q.shape[:-1].numel(), width, q, k, q_weight, q_bias, k_weight, k_bias)
    check_shape("k", k, batch, tokens, heads, width)
    for affine in (q_weight, q_bias, k_weight, k_bias):
        check_shape("weight or bias", affine, width)
    if q.stride() != k.stride():
        raise ValueError(f"qk_norm takes q and k of the same strides, got {q.stride()} and {k.stride()}")
    outs, sizes = (q.new_empty(q.shape), k.new_empty(k.shape)), tile(width)
    qk_norm_kernel[(triton.cdiv(batch * tokens * heads, sizes["ROWS"]),)](
        *(q, k, q_weight, q_bias, k_weight, k_bias, *outs),
        *q.stride()[:3],
        *(batch * tokens * heads, tokens, heads),
        EPS=eps,
        **sizes,
        num_warps=NUM_WARPS,
    )
    return outs


def qk_norm_reference(
    q: Tensor, k: Tensor, q_weight: Tensor, q_bias: Tensor, k_weight: Tensor, k_bias: Tensor, *, eps: float = 1e-6
) -> tuple[Tensor, Tensor]:
    """The same in plain torch. Dehghani et al. 2023, section 2 (normalised queries and keys), as CogVideoX has it."""
    normed_q = F.layer_norm(q.float(), q.shape[-1:], q_weight.float(), q_bias.float(), eps)
    normed_k = F.layer_norm(k.float(), k.shape[-1:], k_weight.float(), k_bias.float(), eps)
    return normed_q.to(q.dtype), normed_k.to(k.dtype)


@triton.jit
def qk_norm_kernel(
    q: tl.tensor,
    k: tl.tensor,
    q_weight: tl.tensor,
    q_bias: tl.tensor,
    k_weight: tl.tensor,
    k_bias: tl.tensor,
    q_out: tl.tensor,
    k_out: tl.tensor,
    batch_stride: tl.tensor,  # scalars from here on; strides of q and of k, in numbers
    token_stride: tl.tensor,
    head_stride: tl.tensor,
    num_rows: tl.tensor,  # B * T * N
    tokens: tl.tensor,
    heads: tl.tensor,
    EPS: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    column = tl.arange(0, BLOCK)[None, :]
    in_width = column < WIDTH
    inside = (row < num_rows) & in_width
    token = row // heads
    at = token // tokens * batch_stride + token % tokens * token_stride + row % heads * head_stride + column
    normalise_head(q, q_weight, q_bias, q_out, at, row * WIDTH + column, column, inside, in_width, EPS, WIDTH)
    normalise_head(k, k_weight, k_bias, k_out, at, row * WIDTH + column, column, inside, in_width, EPS, WIDTH)


@triton.jit
def normalise_head(
    x: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    out: tl.tensor,
    at: tl.tensor,  # where the tile stands in x, in out, and in weight and bias
    out_at: tl.tensor,
    column: tl.tensor,
    inside: tl.tensor,
    in_width: tl.tensor,
    EPS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> None:
    heads = normalised(tl.load(x + at, inside, 0.0).to(tl.float32), inside, WIDTH, EPS)
    gain = tl.load(weight + column, in_width, 0.0).to(tl.float32)
    offset = tl.load(bias + column, in_width, 0.0).to(tl.float32)
    tl.store(out + out_at, heads * gain + offset, inside)
