"""State dicts of the released checkpoints (SwissArmyTransformer keys) as state dicts of our classes.

Two LoRA pairs stand beside each weight of the attention,
    y = W x + motion_scale * (B A x) / r_motion + (D C x) / r_content,
the scaling being 1/rank. The content pair (C, D) is always on and folded into W in float32; the motion pair (A, B) is
off at inference and stays a LoRA.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from layerflow.layout import Variant
from layerflow.models.released import MODULATIONS, POSITIONS, Dimensions, Grid

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
_ATTENTION = (  # fused layer there, which third of it, ours
    ("query_key_value", 0, "to_q"),
    ("query_key_value", 1, "to_k"),
    ("query_key_value", 2, "to_v"),
    ("dense", 0, "to_out.0"),
)
_ADALN_CHUNKS = {"norm1": (0, 1, 2, 6, 7, 8), "norm2": (3, 4, 5, 9, 10, 11)}


def transformer_tensors(own: Mapping[str, Tensor], grid: Grid, num_prompts: int) -> Iterator[tuple[str, Tensor]]:
    """Name and value of every parameter of our transformer, one after another, from a released state dict.

    `own` has no prefix. What is merged is float32, everything else as stored; only one block is held at a time.
    """
    yield from _renamed(own)
    num_text = num_prompts * grid.prompt_tokens
    positions = own[POSITIONS][0]
    yield "text_positions", positions[:num_text]
    yield "video_positions", rearrange(positions[num_text:], "(f h w) d -> f h w d", h=grid.rows, w=grid.columns)
    for index in range(Dimensions.of(own).num_blocks):
        yield from ((f"transformer_blocks.{index}.{name}", value) for name, value in _block(own, index))


def motion_tensors(own: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Name and value of every matrix of the Motion LoRA, named after the layer of ours that it belongs to."""
    for index in range(Dimensions.of(own).num_blocks):
        attention = f"transformer.layers.{index}.attention."
        for module, row, name in _ATTENTION:
            target = f"transformer_blocks.{index}.attn1.{name}"
            yield f"{target}.lora_A.weight", own[f"{attention}{module}.matrix_A.{row}"]
            yield f"{target}.lora_B.weight", own[f"{attention}{module}.matrix_B.{row}"]


def transformer_config(dimensions: Dimensions, variant: Variant, grid: Grid) -> dict[str, Any]:
    """Arguments of `LayerFlowTransformer` for a released checkpoint."""
    return {
        "num_attention_heads": dimensions.width // dimensions.head_width,
        "attention_head_dim": dimensions.head_width,
        "num_blocks": dimensions.num_blocks,
        "latent_channels": dimensions.channels,
        "patch_size": dimensions.patch,
        "text_width": dimensions.text_width,
        "time_width": dimensions.time_width,
        "text_tokens": len(variant.layout.prompts) * grid.prompt_tokens,
        "position_frames": variant.position_frames,
        "position_rows": grid.rows,
        "position_columns": grid.columns,
        "has_layer_embedding": variant.layer_embedding,
    }


def _renamed(own: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    for key, value in own.items():
        for old, new in _RENAMES.items():
            if key.startswith(old):
                yield new + key.removeprefix(old), value


def _block(own: Mapping[str, Tensor], index: int) -> Iterator[tuple[str, Tensor]]:
    layer, adaln = f"transformer.layers.{index}.", "mixins.adaln_layer."
    for part in ("weight", "bias"):
        for old, new in _BLOCK_RENAMES.items():
            yield new + part, own[f"{layer}{old}{part}"]
        chunks = own[f"{adaln}adaLN_modulations.{index}.1.{part}"].chunk(MODULATIONS)
        for norm, picks in _ADALN_CHUNKS.items():
            yield f"{norm}.linear.{part}", torch.cat([chunks[i] for i in picks])
        for short, name in (("q", "query"), ("k", "key")):
            yield f"attn1.norm_{short}.{part}", own[f"{adaln}{name}_layernorm_list.{index}.{part}"]
    yield from _attention(own, f"{layer}attention.")


def _attention(own: Mapping[str, Tensor], attention: str) -> Iterator[tuple[str, Tensor]]:
    for module, row, name in _ATTENTION:
        parts = 1 if module == "dense" else 3
        weight, bias = (own[f"{attention}{module}.original.{part}"].chunk(parts)[row] for part in ("weight", "bias"))
        down, up = (own[f"{attention}{module}.matrix_{letter}.{row}"].float() for letter in "CD")
        yield f"attn1.{name}.weight", weight.float() + up @ down / len(down)
        yield f"attn1.{name}.bias", bias


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
