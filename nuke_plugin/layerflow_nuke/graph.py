"""Nodes as data: what `host` makes of them in Nuke, and what docs draw of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Iterable, List, Mapping, Optional, Tuple

ROW, COLUMN = 60, 130  # pixels between nodes, as Nuke's own autoplace leaves them
RGB = ("red", "green", "blue")
RGBA = (*RGB, "alpha")

# The layers of a shot as Nuke has them; further foregrounds are like the first.
LAYERS = {"foreground": RGBA, "background": RGB, "blended": RGBA, "residual": RGB}


@dataclass(frozen=True)
class Piece:
    """One node: its class, its name, what it is connected to by name, and the knobs that are not at their default."""

    kind: str
    name: str
    inputs: Tuple[Optional[str], ...] = ()  # input 0 first, which is B of a Merge or Copy
    knobs: Mapping[str, Any] = field(default_factory=dict)
    expressions: Mapping[str, str] = field(default_factory=dict)
    at: Tuple[int, int] = (0, 0)  # column and row


def channels(layer: str) -> Tuple[str, ...]:
    """The channels of a layer of a shot."""
    return LAYERS.get(layer, LAYERS["foreground"])


def foregrounds(layers: Iterable[str]) -> List[str]:
    """The foreground layers, front to back."""
    found = [layer for layer in layers if layer.startswith("foreground")]
    return sorted(found, key=lambda layer: int(layer[len("foreground") :] or 1))


def copied(layer: str, into: str, wanted: Tuple[str, ...] = RGBA) -> Mapping[str, str]:
    """Knobs of a Copy that takes channels of `layer`, of input 1, into the layer `into` of input 0."""
    pairs = [(f"{layer}.{name}", f"{into}.{name}") for name in wanted]
    return {f"{side}{i}": pair[k] for i, pair in enumerate(pairs) for k, side in enumerate(("from", "to"))}


def shuffled(layer: str) -> Mapping[str, Any]:
    """Knobs of a Shuffle2 that makes `layer` the rgba; one without an alpha is opaque."""
    own = channels(layer)
    pairs = [(f"{layer}.{name}" if name in own else "white", f"rgba.{name}") for name in RGBA]
    return {"in1": layer, "out1": "rgba", "mappings": pairs}
