"""A model folder's codec, ready to encode and decode."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKLCogVideoX
from safetensors.torch import load_file

from layerflow.codec import Codec, LinearCodec, VideoVAE
from layerflow.models.folder import SAFE, ModelFolder
from layerflow.models.plans import Plan


def load_codec(folder: ModelFolder, device: torch.device, dtype: torch.dtype, plan: Plan) -> Codec:
    """The codec of a model folder, at work on `device` under `plan`."""
    path = folder.path / "codec"
    if folder.manifest.codec == "linear":
        return load_linear_codec(path / "codec.safetensors").to(device)
    vae = AutoencoderKLCogVideoX.from_pretrained(path, torch_dtype=dtype, **SAFE).requires_grad_(False)
    if plan.codec == "device":
        vae.to(device)
    return VideoVAE(vae, streaming=plan.tile is not None, tile=plan.tile, device=device)


def load_linear_codec(path: Path) -> LinearCodec:
    """The linear codec in a safetensors file."""
    tensors = load_file(path)
    codec = LinearCodec(len(tensors["basis"]))
    codec.load_state_dict({name: value.float() for name, value in tensors.items()})
    return codec
