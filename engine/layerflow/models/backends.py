"""Denoiser backends: which there are, which one is taken, and what is done when one is wrong or fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import torch
from torch import Tensor

from layerflow import step_cache
from layerflow.denoisers import Network, OwnThreads, eager, has_own_threads
from layerflow.errors import ModelError, OutputError, RequestError
from layerflow.models.folder import reason_of
from layerflow.models.memory import is_out_of_memory
from layerflow.transformer import LayerFlowTransformer

GROUP = "layerflow.denoisers"  # entry points: name -> function(transformer, *, prepared) -> Network
EAGER = "eager"
AUTO = {"cpu": ("onnxruntime",), "cuda": ("tensorrt", "kernels", "compiled")}  # what auto takes, the fastest first
IN_ONE_PIECE = frozenset({"onnxruntime", "tensorrt", "torch-tensorrt"})  # have no blocks that a step could leave out
# The most that v may be from eager torch's, in parts of its largest number. A wrong graph is off by a whole part; the
# bundled model's is off by 3e-6 in onnxruntime, and its own half types by about a third of what is here.
TOLERANCES = {torch.float32: 2e-5, torch.float16: 1e-2, torch.bfloat16: 5e-2}

Warn = Callable[[str], None]


@dataclass(kw_only=True)
class Guarded:
    """A backend that is held against eager torch at its first step, and gives way to it where it is wrong or fails.

    The first step is one of the shot itself, so that nothing is compiled or recorded for a size that is not needed; of
    a backend that takes any size it is a small one when the model is loaded.
    """

    name: str
    network: Network
    eager: Network
    tolerance: float
    warn: Warn
    backend: str = field(init=False)  # what made the steps so far
    _num_threads: int = field(default_factory=torch.get_num_threads)
    is_checked: bool = False  # against eager torch

    def __post_init__(self) -> None:
        self.backend = self.name

    @property
    def own_threads(self) -> bool:
        """Whether what runs brings threads of its own."""
        return not self.has_fallen and has_own_threads(self.network)

    @property
    def is_checked_at_load(self) -> bool:
        """Whether a small step tells, since nothing is bound to a size."""
        return isinstance(self.network, OwnThreads) and self.network.takes_any_size

    @property
    def has_fallen(self) -> bool:
        """Whether eager torch has taken its place."""
        return self.backend != self.name

    def __call__(
        self, latents: Tensor, timestep: Tensor, text: Tensor, layer_index: Tensor, given: Tensor | None
    ) -> Tensor:
        inputs = (latents, timestep, text, layer_index, given)
        if self.has_fallen:
            return self._eager(*inputs)
        try:
            v = self.network(*inputs)
        except (ModelError, RequestError, OutputError, RuntimeError) as error:
            if is_out_of_memory(error):
                raise
            return self._fall_back(f"failed ({reason_of(error)})", inputs)
        return v if self.is_checked else self._check(v, inputs)

    def _check(self, v: Tensor, inputs: tuple[Any, ...]) -> Tensor:
        with step_cache.apart(self.eager):
            truth = self._eager(*inputs)
        scale = truth.abs().max()
        difference = float((v - truth).abs().max() / scale)
        if bool(scale.isfinite()) and not difference <= self.tolerance:  # nor one that is no number
            return self._fall_back(f"is {difference:.1g} of the largest number off eager torch", inputs, truth)
        self.is_checked = True
        return v

    def _fall_back(self, reason: str, inputs: tuple[Any, ...], truth: Tensor | None = None) -> Tensor:
        self.backend = f"{self.name}, {EAGER}" if self.is_checked else EAGER
        self.warn(f"backend {self.name} {reason}; the shot goes on with {EAGER}")
        step_cache.forget(self.eager)  # what a wrong step left
        return self._eager(*inputs) if truth is None else truth

    def _eager(self, *inputs: Any) -> Tensor:
        with _threads(self._num_threads):
            return self.eager(*inputs)


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def backends() -> dict[str, Any]:
    """Every denoiser backend by name: "eager", and what other packages bring."""
    return {EAGER: eager} | {point.name: point for point in entry_points(group=GROUP)}


def open_backend(
    name: str,
    transformer: LayerFlowTransformer,
    *,
    device: torch.device,
    begun_with: str = "",
    by_blocks: bool = False,
    warn: Warn = lambda sentence: None,
) -> Network:
    """The network of `transformer` by the backend `name`, on `device`, where its steps will be made.

    "auto" takes the one that the shot was `begun_with`; or the fastest that is there and ready, and where steps leave
    out single blocks (`by_blocks`) one that has any; or eager. Raises RequestError for a name that is not there or
    cannot run here. A warning says so when the one that was begun with cannot.
    """
    if name == "auto":
        return _begun(transformer, device, begun_with, warn) or _ready(transformer, device, by_blocks, warn)
    if name == EAGER:
        return eager(transformer)
    known = backends()
    if name not in known:
        raise RequestError(f"there is no backend {name!r}; here are: {', '.join(known)} - or leave --backend auto")
    return _guarded(name, _loaded(name, known[name])(transformer), transformer, warn)


def _begun(transformer: LayerFlowTransformer, device: torch.device, name: str, warn: Warn) -> Network | None:
    """The backend that a shot was begun with, None where there was none or it cannot be had any more."""
    if not name:
        return None
    try:
        return open_backend(name, transformer, device=device, warn=warn)
    except RequestError as error:
        warn(f"the shot was begun with backend {name}; {error}; what follows may look a little different")
        return None


def _ready(transformer: LayerFlowTransformer, device: torch.device, by_blocks: bool, warn: Warn) -> Network:
    known = backends()
    for name in AUTO.get(device.type, ()):
        if name not in known or (by_blocks and name in IN_ONE_PIECE):
            continue
        try:
            network = _loaded(name, known[name])(transformer, prepared=True)
        except (RequestError, ModelError, OutputError):  # it says why where it is asked for by name, and in the doctor
            continue
        return _guarded(name, network, transformer, warn)
    return eager(transformer)


def _guarded(name: str, network: Network, transformer: LayerFlowTransformer, warn: Warn) -> Guarded:
    tolerance = TOLERANCES[transformer.dtype]
    guarded = Guarded(name=name, network=network, eager=eager(transformer), tolerance=tolerance, warn=warn)
    if guarded.is_checked_at_load:
        with torch.inference_mode():
            guarded(*_small_step(transformer))
    return guarded


def _small_step(transformer: LayerFlowTransformer) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:
    """Inputs of a step that takes next to no time: two by two patches of noise, four tokens of text."""
    config, generator = transformer.config, torch.Generator().manual_seed(0)
    frames, side = max(1, int(config.mixed_layers)), 2 * config.patch_size
    latents = torch.randn(1, frames, config.latent_channels, side, side, generator=generator)
    text = torch.randn(1, 1, 4, config.text_width, generator=generator).to(transformer.dtype)
    return latents, torch.full((1,), 500.0), text, torch.zeros(1), None


def _loaded(name: str, entry_point: EntryPoint) -> Any:
    try:
        return entry_point.load()
    except (ImportError, OSError) as error:
        raise RequestError(
            f"backend {name!r} cannot be loaded ({reason_of(error)}); layerflow doctor says what to do, or leave "
            "--backend auto"
        ) from error
