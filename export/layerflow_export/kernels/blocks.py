"""The transformer's blocks on the fused kernels. B batch, T video token, N text token, S = N + T, D model width."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from diffusers.models.activations import GELU
from diffusers.models.attention import Attention, FeedForward
from diffusers.models.normalization import CogVideoXLayerNormZero
from diffusers.models.transformers.cogvideox_transformer_3d import CogVideoXBlock
from einops import rearrange
from torch import Tensor

from layerflow_export.kernels.bias_gelu import bias_gelu
from layerflow_export.kernels.gate_residual import gate_residual
from layerflow_export.kernels.layer_norm_modulate import layer_norm_modulate
from layerflow_export.kernels.merged_qkv import project_qkv
from layerflow_export.kernels.qk_norm import qk_norm

Softmax = Callable[[Tensor, Tensor, Tensor], Tensor]
Choose = Callable[[Tensor, Tensor, Tensor], Softmax]


def fused_forward(
    choose: Choose,
    block: CogVideoXBlock,
    video: Tensor,  # [B, T, D]
    text: Tensor,  # [B, N, D]
    temb: Tensor,  # [B, time width]
) -> tuple[Tensor, Tensor]:
    """Both streams after the block, as `CogVideoXBlock.forward` gives them without rotary positions.

    They are the eager ones to rounding: v is within 2e-6 of its spread in float32; half types are rounded less often.
    `choose` picks the attention for its three inputs, each `[B, heads, S, head width]`.
    """
    for norm, branch in ((block.norm1, partial(_attend, choose, block.attn1)), (block.norm2, partial(_feed, block.ff))):
        joint, gate, text_gate = _modulate(norm, video, text, temb)
        added = branch(joint)
        text = gate_residual(text, added[:, : text.shape[1]], text_gate)
        video = gate_residual(video, added[:, text.shape[1] :], gate)
    return video, text


def _modulate(
    norm: CogVideoXLayerNormZero, video: Tensor, text: Tensor, temb: Tensor
) -> tuple[Tensor, Tensor, Tensor]:  # [B, S, D] text first, [B, D], [B, D]
    """Both streams normalised and modulated into one sequence; the gates of video and text."""
    shift, scale, gate, text_shift, text_scale, text_gate = norm.linear(norm.silu(temb)).chunk(6, dim=1)
    num_text = text.shape[1]
    joint = video.new_empty(len(video), num_text + video.shape[1], video.shape[2])
    affine = (norm.norm.weight, norm.norm.bias)
    layer_norm_modulate(text, *affine, text_scale, text_shift, eps=norm.norm.eps, out=joint[:, :num_text])
    layer_norm_modulate(video, *affine, scale, shift, eps=norm.norm.eps, out=joint[:, num_text:])
    return joint, gate, text_gate


def _attend(
    choose: Choose,
    attention: Attention,
    joint: Tensor,  # [B, S, D]
) -> Tensor:  # [B, S, D]
    q, k, v = (rearrange(each, "b s (n d) -> b s n d", n=attention.heads) for each in project_qkv(attention, joint))
    norm_q, norm_k = attention.norm_q, attention.norm_k
    q, k = qk_norm(q, k, norm_q.weight, norm_q.bias, norm_k.weight, norm_k.bias, eps=norm_q.eps)
    qkv = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
    seen = choose(*qkv)(*qkv)
    projected: Tensor = attention.to_out[0](seen.transpose(1, 2).flatten(2))
    return projected


def _feed(feed_forward: FeedForward, joint: Tensor) -> Tensor:  # [B, S, D] -> [B, S, D]
    inner: GELU = feed_forward.net[0]
    hidden = bias_gelu(F.linear(joint, inner.proj.weight), inner.proj.bias)
    fed: Tensor = feed_forward.net[2](hidden)
    return fed
