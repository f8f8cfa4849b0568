"""Loads a model folder's networks onto a device."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Self

import torch

from layerflow.codec import Codec
from layerflow.denoisers import Network, eager
from layerflow.errors import RequestError
from layerflow.models.codecs import load_codec
from layerflow.models.folder import ModelFolder, reason_of
from layerflow.models.memory import free_bytes, pick_plan
from layerflow.models.network import load_transformer
from layerflow.models.offload import offload_blocks
from layerflow.models.places import pick_device, pick_dtype
from layerflow.models.plans import Plan, plan_named
from layerflow.models.text_encoder import open_text
from layerflow.models.weights import weights_of
from layerflow.residence import visiting
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
    memory: str = "auto"
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
    plan: Plan

    def sampling(self) -> AbstractContextManager[None]:
        """Within it, the transformer is where it works."""
        if self.plan.transformer == "turns":
            return visiting(self.transformer, self.device)
        return nullcontext()


def load_engine(folder: ModelFolder, options: LoadOptions = LoadOptions()) -> Engine:
    """The model of `folder` on `device`. Raises ModelError for damaged weights, RequestError for what is not there."""
    place = pick_device(options.device)
    dtype = pick_dtype(options.precision, place)
    folder.check("transformer", "motion", "codec")  # the text encoder is checked when it is loaded
    plan, _ = choose_plan(folder, options)
    with folder.loading():
        transformer = _transformer(folder, options, plan, place, dtype)
        codec = load_codec(folder, place, dtype, plan)
    text = open_text(folder, device=place, precision=options.text_precision, residence=plan.text)
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
        plan=plan,
    )


def choose_plan(folder: ModelFolder, options: LoadOptions) -> tuple[Plan, str]:
    """The memory plan that `options` name, or the one that fits what is free; and a sentence that says so."""
    if options.memory != "auto":
        return plan_named(options.memory), f"memory plan {options.memory}"
    place = pick_device(options.device)
    dtype = pick_dtype(options.precision, place)
    with folder.loading():
        return pick_plan(folder, place, dtype, free_bytes(place), text_precision=options.text_precision)


def _transformer(
    folder: ModelFolder, options: LoadOptions, plan: Plan, device: torch.device, dtype: torch.dtype
) -> LayerFlowTransformer:
    """The transformer where `plan` keeps it."""
    in_file = plan.transformer == "blocks" and device.type == "cpu"
    unmerged = weights_of(folder.path / "transformer").dtype if in_file else None
    transformer = load_transformer(folder, dtype=dtype, lora=options.lora, motion=options.motion, unmerged=unmerged)
    if plan.transformer == "blocks":
        offload_blocks(transformer, device, dtype)
    elif plan.transformer == "device":
        transformer.to(device)
    return transformer


def backends() -> dict[str, Any]:
    """Every denoiser backend by name: "eager", and what other packages bring."""
    return {"eager": eager} | {point.name: point for point in entry_points(group=BACKEND_GROUP)}


def _network(name: str, transformer: LayerFlowTransformer) -> tuple[str, Network]:
    if name in ("auto", "eager"):
        return "eager", eager(transformer)
    known = backends()
    if name not in known:
        raise RequestError(f"there is no backend {name!r}; here are: {', '.join(known)} - or leave --backend auto")
    network: Network = _made_by(name, known[name])(transformer)
    return name, network


def _made_by(name: str, entry_point: EntryPoint) -> Any:
    try:
        return entry_point.load()
    except (ImportError, OSError) as error:
        raise RequestError(
            f"backend {name!r} cannot be loaded ({reason_of(error)}); layerflow doctor says what to do, or leave "
            "--backend auto"
        ) from error
