"""Loads a model folder's networks onto a device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLCogVideoX
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import AutoTokenizer, T5EncoderModel
from transformers.utils import logging as transformers_logging

from layerflow.codec import Codec, LinearCodec, VideoVAE
from layerflow.denoisers import Network, eager
from layerflow.errors import ModelError, RequestError
from layerflow.models.folder import ModelFolder
from layerflow.text import T5Text
from layerflow.transformer import LayerFlowTransformer

BACKEND_GROUP = "layerflow.denoisers"  # entry points: name -> function(transformer) -> Network
SAFE = {"use_safetensors": True, "local_files_only": True}  # nothing that can run code, nothing fetched
STREAM_TILE = 240  # pixels; a tile of the streamed VAE


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A loaded model: everything between a prompt or a picture and the layers."""

    folder: ModelFolder
    network: Network
    transformer: LayerFlowTransformer
    codec: Codec
    text: T5Text
    device: torch.device
    dtype: torch.dtype
    backend: str


def load_engine(
    folder: ModelFolder,
    *,
    device: str = "auto",
    precision: str = "auto",
    memory: str = "whole",
    backend: str = "auto",
) -> Engine:
    """The model of `folder` on `device`. Raises ModelError for damaged weights, RequestError for what is not there."""
    place = pick_device(device)
    dtype = pick_dtype(precision, place)
    if damaged := list(folder.damaged()):
        raise ModelError(f"{damaged[0]} of model {folder.manifest.name} is missing or damaged; install the model again")
    with _loadable(folder):
        transformer = LayerFlowTransformer.from_pretrained(folder.path / "transformer", torch_dtype=dtype, **SAFE)
        codec = _codec(folder, place, dtype, streaming=memory == "stream")
        text = load_text(folder.path, folder.manifest.prompt_tokens, place)
    transformer = transformer.eval().requires_grad_(False).to(place)
    name, network = _network(backend, transformer)
    return Engine(
        folder=folder,
        network=network,
        transformer=transformer,
        codec=codec,
        text=text,
        device=place,
        dtype=dtype,
        backend=name,
    )


@contextmanager
def _loadable(folder: ModelFolder) -> Iterator[None]:
    """Turns what the libraries say of a folder that does not hold what they need into a ModelError."""
    try:
        yield
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"model {folder.manifest.name} cannot be loaded ({reason}); install the model again"
        ) from error


def load_text(path: Path, num_tokens: int, device: torch.device | None = None) -> T5Text:
    """The text encoder of the model folder `path`."""
    transformers_logging.disable_progress_bar()  # the shot has progress of its own
    encoder = T5EncoderModel.from_pretrained(path / "text_encoder", dtype=torch.float32, **SAFE).eval()
    tokenizer = AutoTokenizer.from_pretrained(path / "tokenizer", local_files_only=True)
    return T5Text(encoder=encoder.to(device), tokenizer=tokenizer, num_tokens=num_tokens)


def load_linear_codec(path: Path) -> LinearCodec:
    """The linear codec in a safetensors file."""
    tensors = load_file(path)
    codec = LinearCodec(len(tensors["basis"]))
    codec.load_state_dict({name: value.float() for name, value in tensors.items()})
    return codec


def pick_device(name: str) -> torch.device:
    """The device called `name`; "auto" is the first CUDA device or the CPU. Raises RequestError."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device).cpu()  # "meta" keeps no numbers
    except (RuntimeError, AssertionError) as error:
        raise RequestError(f"there is no device {name!r} here; use --device auto, and see layerflow doctor") from error
    return device


def pick_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The weights' type: "auto" is bfloat16 on CUDA, as released, and float32 elsewhere."""
    if precision == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


def backends() -> dict[str, Any]:
    """Every denoiser backend by name: "eager", and what other packages bring."""
    return {"eager": eager} | {point.name: point for point in entry_points(group=BACKEND_GROUP)}


def _network(name: str, transformer: LayerFlowTransformer) -> tuple[str, Network]:
    if name in ("auto", "eager"):
        return "eager", eager(transformer)
    known = backends()
    if name not in known:
        raise RequestError(f"there is no backend {name!r}; here are: {', '.join(known)} - or leave --backend auto")
    network: Network = known[name].load()(transformer)
    return name, network


def _codec(folder: ModelFolder, device: torch.device, dtype: torch.dtype, *, streaming: bool) -> Codec:
    path = folder.path / "codec"
    if folder.manifest.codec == "linear":
        return load_linear_codec(path / "codec.safetensors").to(device)
    vae = AutoencoderKLCogVideoX.from_pretrained(path, torch_dtype=dtype, **SAFE)
    return VideoVAE(vae.requires_grad_(False).to(device), streaming=streaming, tile=STREAM_TILE if streaming else None)
