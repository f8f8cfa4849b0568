"""Loads a model folder's networks onto a device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Self

import torch

from layerflow.codec import Codec
from layerflow.denoisers import Network, interruptible, suiting_threads
from layerflow.errors import RequestError
from layerflow.models.backends import EAGER, Guarded, Warn, open_backend
from layerflow.models.codecs import load_codec
from layerflow.models.float8 import FLOAT8, quantize_linears
from layerflow.models.folder import ModelFolder, open_model
from layerflow.models.memory import free_bytes, pick_plan
from layerflow.models.network import load_transformer
from layerflow.models.offload import offload_blocks
from layerflow.models.places import pick_device, pick_dtype
from layerflow.models.plans import Plan, plan_named
from layerflow.models.split import SplitNetwork, can_split, own_device, split
from layerflow.models.text_encoder import open_text
from layerflow.models.weights import weights_of
from layerflow.processes import Processes
from layerflow.quality import QUALITIES
from layerflow.residence import visiting
from layerflow.text import TextEncoder
from layerflow.transformer import LayerFlowTransformer
from layerflow.wire import Request

NETWORK_PARTS = ("transformer", "motion")
CHECKED_PARTS = (*NETWORK_PARTS, "codec")  # the text encoder and its tokenizer when they are loaded


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
class Loading:
    """What the main one of several processes has the others load."""

    path: Path  # of the model folder
    options: LoadOptions  # with a memory plan


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

    @property
    def num_processes(self) -> int:
        """How many processes make its steps together."""
        return self.network.processes.count if isinstance(self.network, SplitNetwork) else 1

    @contextmanager
    def heeding(self, stopped: Callable[[], bool]) -> Iterator[None]:
        """Within it, a step raises Interrupted once `stopped` turns true: where the network can be left."""
        network = self.network
        split_up = network.heeding(stopped) if isinstance(network, SplitNetwork) else None
        with split_up or interruptible(self.transformer, stopped):
            yield

    @contextmanager
    def sampling(self) -> Iterator[None]:
        """Within it, the transformer is where it works, and the cores are left to what runs it."""
        visits = self.plan.transformer == "turns"
        with suiting_threads(self.network), visiting(self.transformer, self.device) if visits else nullcontext():
            yield


def load_engine(
    folder: ModelFolder,
    options: LoadOptions = LoadOptions(),
    *,
    warn: Warn = lambda sentence: None,
    processes: Processes | None = None,
) -> Engine:
    """The model of `folder` on `device`. Raises ModelError for damaged weights, RequestError for what is not there.

    `warn` gets a sentence when a backend gives way to another, at once or in the middle of a shot. Of several
    `processes` the main one calls this, and has the others load their copy of the network.
    """
    if processes is not None:
        _refuse_for_several(folder, options, processes.count)
    place = pick_device(options.device) if processes is None else own_device(options.device)
    dtype = pick_dtype(options.precision, place)
    folder.check(*CHECKED_PARTS)
    plan, _ = choose_plan(folder, options)
    if processes is not None:
        processes.tell(Loading(path=folder.path.absolute(), options=replace(options, memory=plan.name)))
    with folder.loading():
        transformer = _transformer(folder, options, plan, place, dtype)
        codec = load_codec(folder, place, dtype, plan)
    text = open_text(folder, device=place, precision=options.text_precision, residence=plan.text)
    return Engine(
        folder=folder,
        network=_network(transformer, options, place, warn, processes),
        transformer=transformer,
        codec=codec,
        text=text,
        device=place,
        dtype=dtype,
        plan=plan,
    )


def load_share(order: Loading, processes: Processes) -> tuple[LayerFlowTransformer, torch.device]:
    """The network that another process than the main one takes part with, and where it is. Raises as `load_engine`."""
    folder, options = open_model(order.path), order.options
    folder.check(*NETWORK_PARTS)
    place, plan = own_device(options.device), plan_named(options.memory)
    if plan.transformer == "turns":  # there is nothing else here to take turns with
        plan = replace(plan, transformer="device")
    with folder.loading():
        transformer = _transformer(folder, options, plan, place, pick_dtype(options.precision, place))
    split(transformer, processes, place)
    return transformer, place


def _network(
    transformer: LayerFlowTransformer,
    options: LoadOptions,
    device: torch.device,
    warn: Warn,
    processes: Processes | None,
) -> Network:
    """What makes the steps on `device`."""
    if processes is not None:
        if options.begun_with not in ("", EAGER):
            warn(
                f"the shot was begun with backend {options.begun_with}; several processes go on with {EAGER}, and what "
                "follows may look a little different"
            )
        split(transformer.eval(), processes, device)
        return SplitNetwork(transformer=transformer, processes=processes)
    return open_backend(
        options.backend,
        transformer,
        device=device,
        begun_with=options.begun_with,
        by_blocks=QUALITIES[options.quality].reuse is not None,
        warn=warn,
    )


def _refuse_for_several(folder: ModelFolder, options: LoadOptions, count: int) -> None:
    """Raises RequestError for what `count` processes cannot do together."""
    with folder.loading():
        config = LayerFlowTransformer.load_config(folder.path / "transformer", local_files_only=True)
    if not can_split(heads := config["num_attention_heads"], count):
        possible = [str(number) for number in range(1, heads + 1) if can_split(heads, number)]
        raise RequestError(
            f"{count} processes cannot share the {heads} heads of model {folder.manifest.name}; "
            f"start {' or '.join(possible)} of them"
        )
    if options.backend not in ("auto", EAGER):
        raise RequestError(
            f"several processes make a shot with backend {EAGER} only, not {options.backend}; leave --backend auto"
        )
    if QUALITIES[options.quality].reuse is not None:
        raise RequestError(
            f"several processes make every step whole, and quality {options.quality} leaves out parts of it; "
            "take --quality exact, or start LayerFlow in one process"
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
