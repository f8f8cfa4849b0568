"""A smaller network as the start of a larger one, which begins with all that is learned.

A network for one foreground becomes one for two and for a guide; one without a head in pixels is given one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from layerflow.codec import LinearCodec
from layerflow.layout import ALL_LAYERS, LAYERS
from layerflow.transformer import LayerFlowTransformer

LIKE = {"foreground2": "foreground", "alpha2": "alpha", "guide": "alpha"}  # what a new layer begins as
APART = 0.3  # spread of what tells the positions of a new layer from those of the one it begins as


@torch.no_grad()
def widened(network: LayerFlowTransformer, *, num_prompts: int) -> LayerFlowTransformer:
    """A network of all layers that does with `LAYERS` what `network` of these does, in float32; for so many prompts.

    A new layer begins as one that it is like, but sees and copies only the old ones, and none of them it.
    """
    old, own = network.float().state_dict(), _own_config(network)
    frames = len(network.video_positions) // len(LAYERS)
    tokens = len(network.text_positions) // 3
    wider = {"mixed_layers": len(ALL_LAYERS), "position_frames": frames * len(ALL_LAYERS)}
    wide: LayerFlowTransformer = LayerFlowTransformer(**own | wider | {"text_tokens": tokens * num_prompts})
    begins = [LAYERS.index(LIKE.get(name, name)) for name in ALL_LAYERS]
    kept = [ALL_LAYERS.index(name) for name in LAYERS]
    state: dict[str, Tensor] = dict(wide.state_dict())
    state |= {name: value for name, value in old.items() if value.shape == state[name].shape}
    state["video_positions"] = torch.unflatten(old["video_positions"], 0, (len(LAYERS), frames))[begins].flatten(0, 1)
    for layer in map(ALL_LAYERS.index, LIKE):
        rows = state["video_positions"][layer * frames : (layer + 1) * frames]
        rows += APART * torch.randn(rows.shape[-1])
    state["text_positions"] = old["text_positions"].repeat(2, 1)[: tokens * num_prompts]
    seen = old["layer_view.proj.weight"]
    state["layer_view.proj.weight"] = _spread(seen, 1, kept)
    for layer, like in enumerate(begins):
        for part in ("weight", "bias"):
            state[f"copy_gate.gates.{layer}.{part}"] = _spread(old[f"copy_gate.gates.{like}.{part}"], 0, kept)
    state["precondition.rms"] = old["precondition.rms"][begins]
    wide.load_state_dict(state)
    return wide


@torch.no_grad()
def grown(
    network: LayerFlowTransformer, codec: LinearCodec, *, prompt_tokens: int, pixel_widths: Sequence[int]
) -> LayerFlowTransformer:
    """A network of the same results that may learn to tell layers their words and, in pixels, to add to them.

    In float32; the codec is its model's. What it has of these already it keeps; without `pixel_widths` it has no head.
    """
    own, state = _own_config(network), dict(network.float().state_dict())
    own |= {"prompt_tokens": prompt_tokens, "pixel_widths": own["pixel_widths"] or list(pixel_widths)}
    wide: LayerFlowTransformer = LayerFlowTransformer(**own)
    assert network.precondition is not None
    if wide.pixel_head is not None:
        wide.pixel_head.take_codec(codec, network.precondition.rms)
    wide.load_state_dict(wide.state_dict() | state)
    return wide


def _own_config(network: LayerFlowTransformer) -> dict[str, Any]:
    return {name: value for name, value in network.config.items() if not name.startswith("_")}


def _spread(weight: Tensor, dim: int, kept: list[int]) -> Tensor:
    """`weight`, whose `dim` is of the old layers, with zeros for the new ones."""
    old: Tensor = torch.unflatten(weight, dim, (len(LAYERS), -1))
    shape = list(old.shape)
    shape[dim] = len(ALL_LAYERS)
    return old.new_zeros(shape).index_copy(dim, torch.tensor(kept), old).flatten(dim, dim + 1)
