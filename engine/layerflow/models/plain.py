"""Plain CogVideoX-2B as a model folder of a released variant's layout: what training LayerFlow begins with.

It knows nothing of layers yet. Weights are taken over as they are; the layer embedding begins as nothing, and positions
as the sine-cosine table over all layers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import CogVideoXTransformer3DModel
from safetensors import SafetensorError
from torch import nn

from layerflow.errors import ModelError
from layerflow.layout import VARIANTS
from layerflow.models.base import SPATIAL, find_base
from layerflow.models.building import building, take_over
from layerflow.models.folder import SAFE, ModelFolder, open_model, reason_of, write_manifest
from layerflow.models.importer import manifest_of, write_codec
from layerflow.models.released import Grid
from layerflow.models.text_encoder import save_tokenizer
from layerflow.models.weights import weights_of
from layerflow.transformer import LayerFlowTransformer

LICENCE = "that of CogVideoX-2B, Apache-2.0, and of what it is trained on"
_OWN = ("text_positions", "video_positions", "layer_embedding.")


def plain_model(source: Path, target: Path, variant: str) -> ModelFolder:
    """The model folder `target`, of the CogVideoX-2B in the folder `source` as diffusers keeps it.

    Raises ModelError when something does not fit, OutputError when it cannot be written; nothing is left then.
    """
    parts = find_base(source)
    parts.check_text_encoder()
    plain = _read(source / "transformer")
    network, grid = plain_network(plain, variant), _grid(plain.config)
    with building(target) as part:
        network.save_pretrained(part / "transformer")
        write_codec(part / "codec", parts, plain.config.in_channels)
        take_over(parts.text_files(), part / "text_encoder")
        save_tokenizer(parts.tokenizer, part / "tokenizer")
        write_manifest(part, manifest_of(variant, grid, name=target.parent.name, licence=LICENCE))
    return open_model(target)


def plain_network(plain: CogVideoXTransformer3DModel, variant: str) -> LayerFlowTransformer:
    """The transformer for the layout of `variant`, with the weights of `plain`. Raises ModelError for another kind."""
    config, known = plain.config, VARIANTS[variant]
    if config.use_rotary_positional_embeddings or config.patch_size_t is not None:
        raise ModelError("training starts from CogVideoX-2B and this is another CogVideoX; give with start that one")
    grid = _grid(config)
    network: LayerFlowTransformer = LayerFlowTransformer(
        num_attention_heads=config.num_attention_heads,
        attention_head_dim=config.attention_head_dim,
        num_blocks=config.num_layers,
        latent_channels=config.in_channels,
        patch_size=config.patch_size,
        text_width=config.text_embed_dim,
        time_width=config.time_embed_dim,
        text_tokens=len(known.layout.prompts) * grid.prompt_tokens,
        position_frames=known.position_frames,
        position_rows=grid.rows,
        position_columns=grid.columns,
        position_scale=config.spatial_interpolation_scale,
        has_layer_embedding=known.layer_embedding,
    )
    if network.layer_embedding is not None:
        nn.init.zeros_(network.layer_embedding.norm.weight)
    missing, foreign = network.load_state_dict(plain.state_dict(), strict=False)
    if strange := [name for name in (*missing, *foreign) if not name.startswith(_OWN)]:
        raise ModelError(f"training starts from CogVideoX-2B, where {strange[0]} is another; give with start that one")
    network.to(plain.dtype)
    return network


def _grid(config: Any) -> Grid:
    return Grid(
        height=config.sample_height * SPATIAL,
        width=config.sample_width * SPATIAL,
        prompt_tokens=config.max_text_seq_length,
    )


def _read(folder: Path) -> CogVideoXTransformer3DModel:
    try:
        stored = weights_of(folder).dtype or torch.float32
        return CogVideoXTransformer3DModel.from_pretrained(folder, torch_dtype=stored, **SAFE)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"{folder} is not the transformer of CogVideoX-2B ({reason_of(error)}); give with start its folder, with "
            "transformer, text_encoder, tokenizer and vae"
        ) from error
