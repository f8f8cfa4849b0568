"""Steps that run only the first block of the network and reuse what the last whole step made of the others.

The mechanism is diffusers' first-block cache; what is ours is when it may be used. Every layer is looked at by itself,
the alpha with a limit of its own: a matte shows errors that a picture hides.

Shapes: B batch, F latent frame, T token, D model width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from diffusers.hooks import HookRegistry
from diffusers.hooks.first_block_cache import FBCBlockHook, FBCHeadBlockHook, FBCSharedBlockState
from diffusers.hooks.hooks import CacheContext, StateManager
from einops import rearrange
from torch import Tensor

from layerflow.errors import RequestError
from layerflow.layout import Layout
from layerflow.transformer import LayerFlowTransformer

HOOK = "layerflow_step_cache"
CLIP = "clip"  # the one context of all steps


@dataclass(frozen=True, kw_only=True)
class Reuse:
    """How much may have changed where a step reuses the last whole one.

    A change is the mean difference of what the first block adds to a layer's tokens, in parts of its mean size. Every
    `every` steps the cache is dropped, so a run goes on from there to the same bits whether it was stopped or not.
    """

    limit: float  # of every layer that the model makes
    alpha_limit: float  # of the alpha
    every: int = 5

    def __post_init__(self) -> None:
        if not (self.limit >= 0.0 and self.alpha_limit >= 0.0 and self.every >= 1):
            raise ValueError(f"limits must not be below 0 nor every below 1, got {self}")

    def begins_anew(self, step: int) -> bool:
        """Whether nothing from before is used in the step with this number, counted from 0."""
        return step % self.every == 0

    def allows(self, changes: dict[str, float]) -> bool:
        """Whether a step may be reused after these changes, by layer."""
        return all(
            change <= (self.alpha_limit if name.startswith("alpha") else self.limit) for name, change in changes.items()
        )


@contextmanager
def reusing(transformer: LayerFlowTransformer, layout: Layout, reuse: Reuse | None) -> Iterator[Callable[[int], None]]:
    """Within it, steps of one clip reuse each other. What it yields is called with each step's number before the step.

    Without `reuse` the network is left as it is, and so is one of a single block. Nothing is kept from one clip to the
    next. Raises RequestError for a backend that does not call the transformer's blocks.
    """
    blocks = list(transformer.transformer_blocks)
    if reuse is None or len(blocks) == 1:
        yield lambda step: None
        return
    states = StateManager(FBCSharedBlockState)
    first = _FirstBlock(states, layout, reuse)
    hooks = [first, *(FBCBlockHook(states, is_tail=block is blocks[-1]) for block in blocks[1:])]
    registries = [HookRegistry.check_if_exists_or_initialize(block) for block in blocks]
    for registry, hook in zip(registries, hooks, strict=True):
        registry.register_hook(hook, HOOK)
    try:
        yield first.begin
    finally:
        for registry in registries:
            registry.remove_hook(HOOK, recurse=False)


@contextmanager
def apart(network: object) -> Iterator[None]:
    """Within it, `network` runs whole, beside the steps that reuse each other: they neither see it nor count it."""
    first = _first_block(network)
    if first is None:
        yield
        return
    calls = first.calls
    first.state_manager.set_context(CacheContext("apart"))
    try:
        yield
    finally:
        first.state_manager.set_context(CacheContext(CLIP))
        first.calls = calls


def forget(network: object) -> None:
    """Has the next step of `network` reuse nothing of those before."""
    if first := _first_block(network):
        first.state_manager.reset()
        first.state_manager.set_context(CacheContext(CLIP))


def _first_block(network: object) -> _FirstBlock | None:
    """The hook that decides for `network`, if its steps reuse each other."""
    blocks = getattr(network, "transformer_blocks", None)
    registry = getattr(blocks[0], "_diffusers_hook", None) if blocks else None
    return registry.get_hook(HOOK) if registry else None


class _FirstBlock(FBCHeadBlockHook):  # type: ignore[misc]  # diffusers has no types
    """Runs the first block, and decides by what changed in it whether the others run."""

    def __init__(self, states: StateManager, layout: Layout, reuse: Reuse) -> None:
        super().__init__(states, reuse.limit)
        self.layout, self.reuse = layout, reuse
        self.steps = self.calls = 0

    def begin(self, step: int) -> None:
        """Called before every step. Raises RequestError in the second, when none of the blocks was called in the first.

        Both halves of a guidance batch are one call, and so one context.
        """
        if self.steps and not self.calls:
            raise RequestError(
                "this backend runs the network in one piece and has no blocks to leave out; "
                "take --quality exact, or --backend eager"
            )
        self.steps += 1
        if self.reuse.begins_anew(step):
            self.state_manager.reset()
        self.state_manager.set_context(CacheContext(CLIP))

    def _should_compute_remaining_blocks(self, hidden_states_residual: Tensor) -> bool:
        self.calls += 1
        state = self.state_manager.get_state()
        before = state.head_block_residual
        if state.tail_block_residuals is None or before.shape != hidden_states_residual.shape:  # guidance came or went
            return True
        return not self.reuse.allows(layer_changes(hidden_states_residual, before, self.layout))


def layer_changes(now: Tensor, before: Tensor, layout: Layout) -> dict[str, float]:  # both [B, T, D]
    """How far each layer that the model makes is from `before`, relative; of a batch, the row that is farthest."""
    by_frame = [rearrange(tokens.float(), "b (f t) d -> b f t d", f=layout.num_latents) for tokens in (now, before)]
    changes = {}
    for name in (name for name in layout.layers if not layout.is_given(name)):
        one, other = (tokens[:, layout.span(name)] for tokens in by_frame)
        change = (one - other).abs().mean((1, 2, 3)) / other.abs().mean((1, 2, 3))
        changes[name] = float(change.amax())
    return changes
