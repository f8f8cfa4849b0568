"""The CogVideoX-2B folder beside a released checkpoint: where its text encoder, tokenizer and VAE lie, in which form.

diffusers        text_encoder/  tokenizer/  vae/config.json + safetensors
SAT              t5-v1_1-xxl/ (encoder and tokenizer together)  vae/3d-vae.pt
a model folder   text_encoder/  tokenizer/  codec/
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLCogVideoX
from safetensors import SafetensorError
from torch import Tensor
from transformers import T5Config, T5EncoderModel

from layerflow.errors import ModelError
from layerflow.models.checkpoint import open_checkpoint
from layerflow.models.folder import SAFE, reason_of
from layerflow.models.sat import vae_state
from layerflow.models.weights import shapes_of

SCALING_FACTOR = 1.15258426  # of CogVideoX-2B's latents; another model's VAE has another
SPATIAL = 8  # pixels per latent

_TEXT_ENCODERS = ("text_encoder", "t5-v1_1-xxl")
_TOKENIZERS = ("tokenizer", "t5-v1_1-xxl")
_CODECS = ("vae", "codec")
_SAT_VAE = "3d-vae.pt"
_TIED = ("shared.weight", "encoder.embed_tokens.weight")


@dataclass(frozen=True, kw_only=True)
class Base:
    """Where the parts of CogVideoX-2B lie that LayerFlow takes over as they are."""

    text_encoder: Path
    tokenizer: Path
    vae: Path  # a folder in diffusers' form, or the file 3d-vae.pt

    @property
    def text_width(self) -> int:
        """Width of the text encoder's embeddings. Raises ModelError."""
        return int(_config(self.text_encoder).get("d_model", 0))

    def text_files(self) -> list[Path]:
        """The text encoder's own files: configuration and safetensors. Raises ModelError when one is missing."""
        weights = sorted(self.text_encoder.glob("*.safetensors"))
        index = self.text_encoder / "model.safetensors.index.json"
        named = set(_read_json(index).get("weight_map", {}).values()) if index.is_file() else set()
        if missing := named - {file.name for file in weights}:
            raise ModelError(f"{self.text_encoder} lacks {sorted(missing)[0]}; download the text encoder again")
        if not weights:
            raise ModelError(f"{self.text_encoder} has no .safetensors file; get the text encoder in that form")
        return [self.text_encoder / "config.json", *([index] if named else []), *weights]

    def check_text_encoder(self) -> None:
        """Raises ModelError when a weight of the text encoder is missing or of another shape than its config says."""
        self.text_files()
        with _readable(f"the text encoder {self.text_encoder}"):
            config, found = T5Config.from_pretrained(self.text_encoder), shapes_of(self.text_encoder)
            with torch.device("meta"):
                needed = {key: tuple(value.shape) for key, value in T5EncoderModel(config).state_dict().items()}
            for one, other in (_TIED, _TIED[::-1]):  # one table under two names; files have one of them, or both
                found.setdefault(one, found.get(other, ()))
            if wrong := next((key for key, shape in needed.items() if found.get(key) != shape), None):
                raise ValueError(f"{wrong} is missing or of another shape")

    def load_vae(self) -> AutoencoderKLCogVideoX:
        """The VAE on the CPU, every weight found. Raises ModelError when it is damaged or not CogVideoX-2B's."""
        with _readable(f"the VAE {self.vae}"):
            vae = _sat_vae(self.vae) if self.vae.is_file() else _diffusers_vae(self.vae)
        if abs(vae.config.scaling_factor - SCALING_FACTOR) > 1e-6:
            raise ModelError(
                f"{self.vae} is not the VAE of CogVideoX-2B: its latents are scaled otherwise; get that one"
            )
        return vae

    def vae_files(self) -> list[Path]:
        """The VAE's own files where they can be taken as they are; none in SAT form."""
        return [] if self.vae.is_file() else [self.vae / "config.json", *sorted(self.vae.glob("*.safetensors*"))]


@contextmanager
def _readable(what: str) -> Iterator[None]:
    """Turns what the libraries say of damaged files into a ModelError."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"{what} cannot be read ({reason_of(error)}); download it again") from error


def find_base(folder: Path) -> Base:
    """The parts of CogVideoX-2B in `folder`, in any of the three forms. Raises ModelError naming what is not there."""
    found = {
        "text encoder": _first_with("config.json", [folder / name for name in _TEXT_ENCODERS]),
        "tokenizer": _first_with("tokenizer_config.json", [folder / name for name in _TOKENIZERS]),
        "VAE": _first_with("config.json", [folder / name for name in _CODECS]) or _sat_file(folder),
    }
    if missing := [name for name, path in found.items() if path is None]:
        raise ModelError(
            f"{folder} has no {missing[0]}; give with --base the folder of CogVideoX-2B, "
            "with text_encoder, tokenizer and vae, or with t5-v1_1-xxl and vae/3d-vae.pt"
        )
    text_encoder, tokenizer, vae = (path for path in found.values() if path is not None)
    return Base(text_encoder=text_encoder, tokenizer=tokenizer, vae=vae)


def _first_with(name: str, folders: Iterable[Path]) -> Path | None:
    return next((folder for folder in folders if (folder / name).is_file()), None)


def _sat_file(folder: Path) -> Path | None:
    return next((file for file in (folder / "vae" / _SAT_VAE, folder / _SAT_VAE) if file.is_file()), None)


def _config(folder: Path) -> Mapping[str, Any]:
    return _read_json(folder / "config.json")


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({error}); download it again") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path} is not a configuration; download it again")
    return values


def _diffusers_vae(folder: Path) -> AutoencoderKLCogVideoX:
    vae, report = AutoencoderKLCogVideoX.from_pretrained(folder, output_loading_info=True, **SAFE)
    if absent := [*report["missing_keys"], *report["mismatched_keys"]]:  # diffusers would fill them with random numbers
        raise ValueError(f"{absent[0]} is missing")
    return vae


def _sat_vae(path: Path) -> AutoencoderKLCogVideoX:
    own = open_checkpoint(path)
    with torch.device("meta"):
        vae = AutoencoderKLCogVideoX(**vae_config(own))
    vae.load_state_dict(vae_state(own), assign=True)
    return vae


def vae_config(own: Mapping[str, Tensor]) -> dict[str, Any]:
    """diffusers' configuration of a released 3D VAE, read from its shapes. Raises KeyError for what is not one."""
    levels = 1 + max(int(match[1]) for key in own if (match := re.match(r"encoder\.down\.(\d+)\.block\.0\.", key)))
    widths = [own[f"encoder.down.{level}.block.0.conv1.conv.weight"].shape[0] for level in range(levels)]
    blocks = [key for key in own if re.fullmatch(r"encoder\.down\.0\.block\.\d+\.conv1\.conv\.weight", key)]
    return {
        "block_out_channels": tuple(widths),
        "layers_per_block": len(blocks),
        "latent_channels": own["decoder.conv_in.conv.weight"].shape[1],
        "down_block_types": ("CogVideoXDownBlock3D",) * levels,
        "up_block_types": ("CogVideoXUpBlock3D",) * levels,
        "scaling_factor": SCALING_FACTOR,
    }
