"""Loads a model folder's networks onto a device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields
from typing import Self

import torch

from layerflow.codec import Codec
from layerflow.denoisers import Network, suiting_threads
from layerflow.models.backends import EAGER, Guarded, Warn, open_backend
from layerflow.models.codecs import load_codec
from layerflow.models.float8 import FLOAT8, quantize_linears
from layerflow.models.folder import ModelFolder
from layerflow.models.memory import free_bytes, pick_plan
from layerflow.models.network import load_transformer
from layerflow.models.offload import offload_blocks
from layerflow.models.places import pick_device, pick_dtype
from layerflow.models.plans import Plan, plan_named
from layerflow.models.text_encoder import open_text
from layerflow.models.weights import weights_of
from layerflow.quality import QUALITIES
from layerflow.residence import visiting
from layerflow.text import TextEncoder
from layerflow.transformer import LayerFlowTransformer
from layerflow.wire import Request

CHECKED_PARTS = ("transformer", "motion", "codec")  # the text encoder and its tokenizer when they are loaded


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """How a model is loaded; all fields but `begun_with` and `layers` are a Request's."""

    device: str = "auto"
    precision: str = "auto"
    text_precision: str = "auto"
    memory: str = "auto"
    backend: str = "auto"
    begun_with: str = ""  # the backend that an unfinished or earlier shot was made by, which "auto" keeps to
    quality: str = "exact"
    lora: tuple[str, ...] = ()
    motion: float = 0.0
    layers: tuple[str, ...] = ()  # of the layout that it is loaded for; those of the model's own layouts

    @classmethod
    def of(cls, request: Request) -> Self:
        """What `request` says of loading."""
        asked = {field.name for field in fields(cls)} & {field.name for field in fields(request)}
        return cls(**{name: getattr(request, name) for name in asked})


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
    plan: Plan

    @property
    def backend(self) -> str:
        """What made the steps so far."""
        return self.network.backend if isinstance(self.network, Guarded) else EAGER

    @contextmanager
    def sampling(self) -> Iterator[None]:
        """Within it, the transformer is where it works, and the cores are left to what runs it."""
        visits = self.plan.transformer == "turns"
        with suiting_threads(self.network), visiting(self.transformer, self.device) if visits else nullcontext():
            yield


def load_engine(
    folder: ModelFolder, options: LoadOptions = LoadOptions(), *, warn: Warn = lambda sentence: None
) -> Engine:
    """The model of `folder` on `device`. Raises ModelError for damaged weights, RequestError for what is not there.

    `warn` gets a sentence when a backend gives way to another, at once or in the middle of a shot.
    """
    place = pick_device(options.device)
    dtype = pick_dtype(options.precision, place)
    folder.check(*CHECKED_PARTS)
    plan, _ = choose_plan(folder, options)
    with folder.loading():
        transformer = _transformer(folder, options, plan, place, dtype)
        codec = load_codec(folder, place, dtype, plan)
    text = open_text(folder, device=place, precision=options.text_precision, residence=plan.text)
    network = open_backend(
        options.backend,
        transformer,
        device=place,
        begun_with=options.begun_with,
        by_blocks=QUALITIES[options.quality].reuse is not None,
        warn=warn,
    )
    return Engine(
        folder=folder,
        network=network,
        transformer=transformer,
        codec=codec,
        text=text,
        device=place,
        dtype=dtype,
        plan=plan,
    )


def choose_plan(folder: ModelFolder, options: LoadOptions) -> tuple[Plan, str]:
    """The memory plan that `options` name, or the one that fits what is free; and a sentence that says so."""
    if options.memory != "auto":
        return plan_named(options.memory), f"memory plan {options.memory}"
    place = pick_device(options.device)
    dtype = pick_dtype(options.precision, place)
    with folder.loading():
        return pick_plan(
            folder,
            place,
            dtype,
            free_bytes(place),
            text_precision=options.text_precision,
            float8=options.precision == FLOAT8,
        )


def _transformer(
    folder: ModelFolder, options: LoadOptions, plan: Plan, device: torch.device, dtype: torch.dtype
) -> LayerFlowTransformer:
    """The transformer where `plan` keeps it."""
    in_file = plan.transformer == "blocks" and device.type == "cpu"
    unmerged = weights_of(folder.path / "transformer").dtype if in_file else None
    transformer = load_transformer(
        folder, dtype=dtype, lora=options.lora, motion=options.motion, unmerged=unmerged, layers=options.layers
    )
    if options.precision == FLOAT8:
        quantize_linears(transformer)
    if plan.transformer == "blocks":
        offload_blocks(transformer, device, dtype)
    elif plan.transformer == "device":
        transformer.to(device)
    return transformer
