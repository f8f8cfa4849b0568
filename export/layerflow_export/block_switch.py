"""Another forward for the transformer's blocks, which counts only while its backend runs; and what hooks want of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from diffusers.models.transformers.cogvideox_transformer_3d import CogVideoXBlock
from torch import Tensor

from layerflow.errors import RequestError
from layerflow.transformer import LayerFlowTransformer

Streams = tuple[Tensor, Tensor]  # video [B, T, D], text [B, N, D]
BlockForward = Callable[[CogVideoXBlock, Tensor, Tensor, Tensor], Streams]  # block, video, text, temb


class BlockSwitch:
    """Within `on`, the blocks of `transformer` run `forward`; at any other time they are the eager ones they were.

    It stands where a block's own forward stood. So hooks are called around it, and a backend that is given up leaves
    nothing behind.
    """

    def __init__(self, transformer: LayerFlowTransformer, forward: BlockForward) -> None:
        self._forward, self._is_on = forward, False
        for block in transformer.transformer_blocks:
            block.forward = partial(self._either, block, block.forward)

    @contextmanager
    def on(self) -> Iterator[None]:
        """Within it, `forward` counts."""
        self._is_on = True
        try:
            yield
        finally:
            self._is_on = False

    def _either(self, block: CogVideoXBlock, eager: Callable[..., Streams], *streams: Tensor) -> Streams:
        return self._forward(block, *streams) if self._is_on else eager(*streams)


def is_hooked(transformer: LayerFlowTransformer) -> bool:
    """Whether a block is to be called by itself in every step, as steps that reuse each other want it."""
    return any(_hooks_of_diffusers(block) for block in transformer.transformer_blocks)


def is_offloaded(transformer: LayerFlowTransformer) -> bool:
    """Whether single layers or blocks come and go while it works."""
    return any(hasattr(module, "_hf_hook") or _hooks_of_diffusers(module) for module in transformer.modules())


def refuse_offloaded(transformer: LayerFlowTransformer, backend: str) -> None:
    """Raises RequestError where single layers or blocks travel, which happens around the forward that is replaced."""
    if is_offloaded(transformer):
        raise RequestError(
            f"the backend {backend} needs the whole transformer in one place, and here its blocks come and go; use "
            "--backend eager, or --memory balanced where there is room for it"
        )


def _hooks_of_diffusers(module: Any) -> bool:
    registry = getattr(module, "_diffusers_hook", None)  # stays behind, empty, when the last hook goes
    return bool(registry is not None and registry.hooks)
