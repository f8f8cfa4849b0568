"""Denoisers: what stands behind the engine's one seam for speed, and how the given latents reach them.

Shapes: B batch, F latent frame of the whole sequence, P predicted latent frame, C channel, H W latent rows and columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from layerflow.errors import Interrupted
from layerflow.layout import Layout
from layerflow.text import layer_index
from layerflow.transformer import LayerFlowTransformer


class Network(Protocol):
    """v for a whole sequence; eager, compiled or an engine of some other runtime."""

    def __call__(
        self, latents: Tensor, timestep: Tensor, text: Tensor, layer_index: Tensor, given: Tensor | None
    ) -> Tensor:
        """As `LayerFlowTransformer.forward`."""
        ...


def given_mask(layout: Layout) -> Tensor:  # [F] bool
    """True on the latent frames that are the condition."""
    mask = torch.zeros(layout.num_latents, dtype=torch.bool)
    for start, stop in layout.given:
        mask[start:stop] = True
    return mask


def splice(layout: Layout, predicted: Tensor, given: Tensor) -> Tensor:  # [B, P, ...], [B, F - P, ...] -> [B, F, ...]
    """The whole sequence from its predicted and its given latents."""
    mask = given_mask(layout)
    whole = predicted.new_empty(len(predicted), layout.num_latents, *predicted.shape[2:])
    whole[:, ~mask] = predicted
    whole[:, mask] = given.to(whole)
    return whole


@dataclass(frozen=True, kw_only=True)
class LayerDenoiser:
    """The sampler's denoiser for one shot: puts the clean given latents in their place, and takes their outputs out.

    Given latents share the one timestep of the noisy ones and stand in both halves of a guidance batch, as released.
    """

    network: Network
    layout: Layout
    given: Tensor  # [1, F - P, C, H, W]; no frames when nothing is given
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    dtype: torch.dtype = torch.float32  # of the network's weights; what becomes of the latents is its own affair

    @torch.inference_mode()
    def __call__(self, latents: Tensor, timestep: Tensor, text: Tensor) -> Tensor:
        """v `[B, P, C, H, W]`, float32 on the CPU, where the sampler keeps its state."""
        whole = splice(self.layout, latents, self.given.expand(len(latents), -1, -1, -1, -1))
        mask = given_mask(self.layout)
        v = self.network(
            whole.to(self.device),
            timestep.to(self.device),
            text.to(self.device, self.dtype),
            layer_index(self.layout).to(self.device, self.dtype),
            mask.to(self.device) if self.layout.given else None,
        )
        return v.float().cpu()[:, ~mask]


def eager(transformer: LayerFlowTransformer) -> Network:
    """The transformer itself: what every other backend is held against."""
    network: Network = transformer.eval()
    return network


@dataclass(frozen=True)
class OwnThreads:
    """A network of a runtime with threads of its own: beside them torch's would wait for work, and be in the way."""

    run: Network
    takes_any_size: bool = False  # nothing is compiled or recorded for one, so what a small step shows holds for all
    own_threads: ClassVar[bool] = True

    def __call__(
        self, latents: Tensor, timestep: Tensor, text: Tensor, layer_index: Tensor, given: Tensor | None
    ) -> Tensor:
        return self.run(latents, timestep, text, layer_index, given)


def has_own_threads(network: Network) -> bool:
    """Whether `network` is of a runtime that brings its threads."""
    return bool(getattr(network, "own_threads", False))


@contextmanager
def suiting_threads(network: Network) -> Iterator[None]:
    """Within it, torch leaves the cores to `network` where that brings threads; elementwise work has the same bits."""
    before = torch.get_num_threads()
    if has_own_threads(network):
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def raise_if(stopped: Callable[[], bool]) -> None:
    """Raises Interrupted once `stopped` is true."""
    if stopped():
        raise Interrupted("stopped; the same command with --resume goes on from here")


@contextmanager
def interruptible(transformer: LayerFlowTransformer, stopped: Callable[[], bool]) -> Iterator[None]:
    """Within it, the transformer raises Interrupted between two of its blocks once `stopped` turns true."""

    hooks = [block.register_forward_pre_hook(lambda *_: raise_if(stopped)) for block in transformer.transformer_blocks]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
