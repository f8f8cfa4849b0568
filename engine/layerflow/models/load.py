"""Loads a model folder's networks onto a device."""

from __future__ import annotations

from dataclasses import dataclass, fields
from importlib.metadata import entry_points
from typing import Any, Self

import torch

from layerflow.codec import Codec
from layerflow.denoisers import Network, eager
from layerflow.errors import RequestError
from layerflow.models.codecs import load_codec
from layerflow.models.folder import ModelFolder
from layerflow.models.network import load_transformer
from layerflow.models.places import pick_device, pick_dtype
from layerflow.models.text_encoder import open_text
from layerflow.text import TextEncoder
from layerflow.transformer import LayerFlowTransformer
from layerflow.wire import Request

BACKEND_GROUP = "layerflow.denoisers"  # entry points: name -> function(transformer) -> Network


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """How a model is loaded; the fields are a Request's."""

    device: str = "auto"
    precision: str = "auto"
    text_precision: str = "auto"
    memory: str = "whole"
    backend: str = "auto"
    lora: tuple[str, ...] = ()
    motion: float = 0.0

    @classmethod
    def of(cls, request: Request) -> Self:
        """What `request` says of loading."""
        return cls(**{field.name: getattr(request, field.name) for field in fields(cls)})


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A loaded model: everything between a prompt or a picture and the layers."""

    folder: ModelFolder
    network: Network
    transformer: LayerFlowTransformer
    codec: Codec
    text: TextEncoder
    device: torch.device
    dtype: torch.dtype
    backend: str


def load_engine(folder: ModelFolder, options: LoadOptions = LoadOptions()) -> Engine:
    """The model of `folder` on `device`. Raises ModelError for damaged weights, RequestError for what is not there."""
    place = pick_device(options.device)
    dtype = pick_dtype(options.precision, place)
    folder.check("transformer", "motion", "codec")  # the text encoder is checked when it is loaded
    with folder.loading():
        transformer = load_transformer(folder, dtype=dtype, lora=options.lora, motion=options.motion)
        codec = load_codec(folder, place, dtype, streaming=options.memory == "stream")
    text = open_text(folder, device=place, precision=options.text_precision, residence="keep")
    transformer = transformer.to(place)
    name, network = _network(options.backend, transformer)
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
