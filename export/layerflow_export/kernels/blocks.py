"""The transformer's blocks on the fused kernels. B batch, T video token, N text token, S = N + T, D model width."""

from __future__ import annotations

from functools import partial

import torch.nn.functional as F
from diffusers.models.activations import GELU
from diffusers.models.attention import Attention, FeedForward
from diffusers.models.normalization import CogVideoXLayerNormZero
from diffusers.models.transformers.cogvideox_transformer_3d import CogVideoXBlock
from torch import Tensor

from layerflow.transformer import LayerFlowTransformer
from layerflow_export.kernels.bias_gelu import bias_gelu
from layerflow_export.kernels.gate_residual import gate_residual
from layerflow_export.kernels.layer_norm_modulate import layer_norm_modulate
from layerflow_export.kernels.qk_norm import qk_norm


def apply_kernels(transformer: LayerFlowTransformer) -> LayerFlowTransformer:
    """`transformer`, whose blocks run on the kernels from now on. Weights and their names stay as they are.

    Its v is the eager one to rounding: within 2e-6 of v's spread in float32; half types are rounded less often.
    """
    for block in transformer.transformer_blocks:
        block.forward = partial(fused_forward, block)  # hooks on a block still see it called
    return transformer


def fused_forward(
    block: CogVideoXBlock,
    video: Tensor,  # [B, T, D]
    text: Tensor,  # [B, N, D]
    temb: Tensor,  # [B, time width]
) -> tuple[Tensor, Tensor]:
    """Both streams after the block, as `CogVideoXBlock.forward` gives them without rotary positions."""
    for norm, branch in ((block.norm1, partial(_attend, block.attn1)), (block.norm2, partial(_feed, block.ff))):
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


def _attend(attention: Attention, joint: Tensor) -> Tensor:  # [B, S, D] -> [B, S, D]
    q, k, v = (
        project(joint).unflatten(-1, (attention.heads, -1))
        for project in (attention.to_q, attention.to_k, attention.to_v)
    )
    norm_q, norm_k = attention.norm_q, attention.norm_k
    q, k = qk_norm(q, k, norm_q.weight, norm_q.bias, norm_k.weight, norm_k.bias, eps=norm_q.eps)
    seen = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
    projected: Tensor = attention.to_out[0](seen.transpose(1, 2).flatten(2))
    return projected


def _feed(feed_forward: FeedForward, joint: Tensor) -> Tensor:  # [B, S, D] -> [B, S, D]
    inner: GELU = feed_forward.net[0]
    hidden = bias_gelu(F.linear(joint, inner.proj.weight), inner.proj.bias)
    fed: Tensor = feed_forward.net[2](hidden)
    return fed
