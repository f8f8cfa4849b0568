"""State dicts of the released checkpoints (SwissArmyTransformer keys) as state dicts of our classes.

Both LoRA pairs are folded into the weights they belong to,
    y = W x + motion_scale * (B A x) / r_motion + (D C x) / r_content,
the scaling being 1/rank. The content pair (C, D) is always on; the motion pair (A, B) is off at inference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from layerflow.layout import Variant

TRANSFORMER_PREFIX = "model.diffusion_model."

_RENAMES = {
    "mixins.patch_embed.": "patch_embed.",
    "mixins.pos_embed.txt_embedder.0.": "layer_embedding.proj.",
    "mixins.pos_embed.txt_embedder.1.": "layer_embedding.norm.",
    "time_embed.0.": "time_embedding.linear_1.",
    "time_embed.2.": "time_embedding.linear_2.",
    "transformer.final_layernorm.": "norm_final.",
    "mixins.final_layer.norm_final.": "norm_out.norm.",
    "mixins.final_layer.adaLN_modulation.1.": "norm_out.linear.",
    "mixins.final_layer.linear.": "proj_out.",
}
_BLOCK_RENAMES = {
    "input_layernorm.": "norm1.norm.",
    "post_attention_layernorm.": "norm2.norm.",
    "mlp.dense_h_to_4h.": "ff.net.0.proj.",
    "mlp.dense_4h_to_h.": "ff.net.2.",
}
_ADALN_CHUNKS = {"norm1": (0, 1, 2, 6, 7, 8), "norm2": (3, 4, 5, 9, 10, 11)}


def transformer_state(
    sat: Mapping[str, Tensor], *, text_tokens: int, rows: int, columns: int, motion_scale: float = 0.0
) -> dict[str, Tensor]:
    """Our transformer's state dict from a released one, LoRA merged in float32.

    `text_tokens` is prompts times tokens per prompt; `rows` and `columns` are the token grid of one latent frame. Other
    prefixes (`conditioner.*`, `first_stage_model.*`) are left out. Raises KeyError when a block lacks a weight.
    """
    own = {k.removeprefix(TRANSFORMER_PREFIX): v for k, v in sat.items() if k.startswith(TRANSFORMER_PREFIX)}
    state = dict(_renamed(own))
    positions = own["mixins.pos_embed.pos_embedding"][0]
    state["text_positions"] = positions[:text_tokens].clone()
    state["video_positions"] = rearrange(positions[text_tokens:], "(f h w) d -> f h w d", h=rows, w=columns).clone()
    for index in range(num_blocks(own)):
        state |= {f"transformer_blocks.{index}.{k}": v for k, v in _block(own, index, motion_scale)}
    return state


def num_blocks(sat: Mapping[str, Tensor]) -> int:
    """How many transformer blocks a released state dict holds."""
    found = [re.search(r"transformer\.layers\.(\d+)\.", key) for key in sat]
    return 1 + max((int(match[1]) for match in found if match), default=-1)


def transformer_config(
    sat: Mapping[str, Tensor], variant: Variant, *, prompt_tokens: int, rows: int, columns: int, scale: float = 1.875
) -> dict[str, Any]:
    """Arguments of `LayerFlowTransformer` for a released state dict, read from its shapes."""
    own = {k.removeprefix(TRANSFORMER_PREFIX): v for k, v in sat.items()}
    width, channels, patch, _ = own["mixins.patch_embed.proj.weight"].shape
    head = own["mixins.adaln_layer.query_layernorm_list.0.weight"].shape[0]
    return {
        "num_attention_heads": width // head,
        "attention_head_dim": head,
        "num_blocks": num_blocks(own),
        "latent_channels": channels,
        "patch_size": patch,
        "text_width": own["mixins.patch_embed.text_proj.weight"].shape[1],
        "time_width": own["time_embed.0.weight"].shape[0],
        "text_tokens": len(variant.layout.prompts) * prompt_tokens,
        "position_frames": variant.position_frames,
        "position_rows": rows,
        "position_columns": columns,
        "position_scale": scale,
        "has_layer_embedding": variant.layer_embedding,
    }


def _renamed(own: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    for key, value in own.items():
        for old, new in _RENAMES.items():
            if key.startswith(old):
                yield new + key.removeprefix(old), value


def _block(own: Mapping[str, Tensor], index: int, motion_scale: float) -> Iterator[tuple[str, Tensor]]:
    layer, adaln = f"transformer.layers.{index}.", "mixins.adaln_layer."
    for part in ("weight", "bias"):
        for old, new in _BLOCK_RENAMES.items():
            yield new + part, own[f"{layer}{old}{part}"]
        chunks = own[f"{adaln}adaLN_modulations.{index}.1.{part}"].chunk(12)
        for norm, picks in _ADALN_CHUNKS.items():
            yield f"{norm}.linear.{part}", torch.cat([chunks[i] for i in picks])
        for short, name in (("q", "query"), ("k", "key")):
            yield f"attn1.norm_{short}.{part}", own[f"{adaln}{name}_layernorm_list.{index}.{part}"]
    fused = f"{layer}attention.query_key_value."
    for row, name in enumerate(("to_q", "to_k", "to_v")):
        weight = own[f"{fused}original.weight"].chunk(3)[row]
        yield f"attn1.{name}.weight", weight + _lora(own, fused, row, motion_scale)
        yield f"attn1.{name}.bias", own[f"{fused}original.bias"].chunk(3)[row]
    dense = f"{layer}attention.dense."
    yield "attn1.to_out.0.weight", own[f"{dense}original.weight"] + _lora(own, dense, 0, motion_scale)
    yield "attn1.to_out.0.bias", own[f"{dense}original.bias"]


def _lora(own: Mapping[str, Tensor], module: str, row: int, motion_scale: float) -> Tensor:
    down, up = own[f"{module}matrix_C.{row}"].float(), own[f"{module}matrix_D.{row}"].float()
    delta = up @ down / len(down)
    if motion_scale:
        down, up = own[f"{module}matrix_A.{row}"].float(), own[f"{module}matrix_B.{row}"].float()
        delta = delta + motion_scale * (up @ down) / len(down)
    return delta


def vae_state(sat: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """diffusers' AutoencoderKLCogVideoX state dict from a released 3D VAE's, keys without any prefix."""
    num_up = 1 + max(int(match[1]) for key in sat if (match := re.match(r"decoder\.up\.(\d+)\.", key)))
    return {_vae_key(key, num_up): value for key, value in sat.items() if key.startswith(("encoder.", "decoder."))}


def _vae_key(key: str, num_up: int) -> str:
    """Levels are counted from the picture in both halves there, from the input of each half in diffusers."""
    key = re.sub(r"\.mid\.block_(\d)\.", lambda m: f".mid_block.resnets.{int(m[1]) - 1}.", key)
    key = re.sub(r"\.down\.(\d+)\.", r".down_blocks.\1.", key)
    key = re.sub(r"\.up\.(\d+)\.", lambda m: f".up_blocks.{num_up - 1 - int(m[1])}.", key)
    key = re.sub(r"\.block\.(\d+)\.", r".resnets.\1.", key)
    key = re.sub(r"\.(down|up)sample\.", r".\1samplers.0.", key)
    return key.replace(".nin_shortcut.", ".conv_shortcut.")
