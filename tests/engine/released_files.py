"""Files laid out as the release publishes them, of tiny weights: what the import is tried on."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX
from tiny import tiny_vae, write_text
from torch import Tensor

from layerflow.models.released import FOLDERS, PREFIX, Dimensions, Grid

TINY_GRID = Grid(height=32, width=48, prompt_tokens=8)
TINY = {
    "width": 32,
    "head_width": 16,
    "num_blocks": 2,
    "channels": 4,
    "patch": 2,
    "text_width": 32,
    "time_width": 16,
    "motion_rank": 2,
    "content_rank": 4,
}


def random_checkpoint(
    positions: int, *, has_layer_embedding: bool = True, seed: int = 0, **dimensions: int
) -> dict[str, Tensor]:
    """A whole checkpoint of random numbers, with the engine's prefix."""
    whole = Dimensions(**{**TINY, **dimensions}, positions=positions, has_layer_embedding=has_layer_embedding)
    draw = torch.Generator().manual_seed(seed)
    return {PREFIX + key: 0.1 * torch.randn(shape, generator=draw) for key, shape in whole.shapes().items()}


def write_checkpoint(folder: Path, variant: str, tensors: Mapping[str, Tensor], *, whole_run: bool = False) -> Path:
    """The folder of `variant` as it is downloaded. A `whole_run` is wrapped, beside all that training leaves in it."""
    saved: Any = OrderedDict(tensors)
    if whole_run:
        saved |= {"conditioner.embedders.0.weight": torch.ones(3), "first_stage_model.encoder.weight": torch.ones(3)}
        saved = {
            "module": saved,
            "optimizer": None,
            "iteration": 1000,
            "random_rng_state": random.getstate(),
            "np_rng_state": np.random.get_state(),
            "torch_rng_state": torch.get_rng_state(),
            "param_shapes": [OrderedDict((key, value.shape) for key, value in tensors.items())],
        }
    place = folder / FOLDERS[variant]
    (place / "1000").mkdir(parents=True)
    (place / "latest").write_text("1000")
    torch.save(saved, place / "1000" / "mp_rank_00_model_states.pt")
    return place


def write_base(folder: Path, vae: AutoencoderKLCogVideoX | None = None, *, text_width: int = 32) -> Path:
    """CogVideoX-2B as diffusers lays it out."""
    write_text(folder, width=text_width)
    (vae or tiny_vae()).save_pretrained(folder / "vae")
    return folder


def write_sat_base(folder: Path, vae: Mapping[str, Tensor], *, text_width: int = 32) -> Path:
    """CogVideoX-2B as its authors lay it out: encoder and tokenizer in one folder, the VAE in a checkpoint."""
    write_text(folder, width=text_width)
    encoder = folder / "t5-v1_1-xxl"
    (folder / "text_encoder").rename(encoder)
    for file in (folder / "tokenizer").iterdir():
        file.rename(encoder / file.name)
    (folder / "tokenizer").rmdir()
    (folder / "vae").mkdir()
    torch.save({"state_dict": {**vae, "loss.logvar": torch.zeros(())}}, folder / "vae" / "3d-vae.pt")
    return folder
