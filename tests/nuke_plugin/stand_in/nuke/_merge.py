"""Merge: one picture over another, and the other ways of putting two together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nuke import _layers
from nuke._picture import Picture, Plane, empty

# A and B are channels, a and b the alphas of the two pictures.
FORMULAS: dict[str, Callable[[Plane, Plane, Plane, Plane], Plane]] = {
    "over": lambda A, B, a, b: A + B * (1 - a),
    "under": lambda A, B, a, b: A * (1 - b) + B,
    "difference": lambda A, B, a, b: np.abs(A - B),
    "plus": lambda A, B, a, b: A + B,
    "minus": lambda A, B, a, b: A - B,
    "from": lambda A, B, a, b: B - A,
    "multiply": lambda A, B, a, b: np.where((A < 0) & (B < 0), A, A * B),
    "copy": lambda A, B, a, b: A,
    "max": lambda A, B, a, b: np.maximum(A, B),
    "min": lambda A, B, a, b: np.minimum(A, B),
    "in": lambda A, B, a, b: A * b,
    "out": lambda A, B, a, b: A * (1 - b),
}
_ALPHA = "rgba.alpha"


def merged(node: Any, above: Callable[[int], Picture | None]) -> Picture:
    """Input 1, then 3 and so on, put on input 0."""
    pictures = [above(index) for index in range(node.inputs()) if index not in (0, 2)]
    there = [picture for picture in pictures if picture is not None]
    under = above(0) or (Picture(there[0].width, there[0].height) if there else empty())
    for picture in there:
        under = _two(node, picture.at_size(under.width, under.height), under)
    return under


def _two(node: Any, over: Picture, under: Picture) -> Picture:
    formula = FORMULAS[str(node["operation"].value())]
    mix = float(node["mix"].value())
    names = {side: _layers.meant(str(node[side].value())) for side in ("Achannels", "Bchannels", "output")}
    a = over.plane(_ALPHA) if _ALPHA in names["Achannels"] else over.plane("black")
    b = under.plane(_ALPHA) if _ALPHA in names["Bchannels"] else under.plane("black")
    made = {}
    for i, target in enumerate(names["output"]):
        A = over.plane(_nth(names["Achannels"], i, target))
        B = under.plane(_nth(names["Bchannels"], i, target))
        made[target] = formula(A, B, a, b)
    for name in _also(node, over, under, names["output"]):
        made[name] = formula(over.plane(name), under.plane(name), a, b)
    mixed = {name: (plane * mix + under.plane(name) * (1 - mix)).astype(np.float32) for name, plane in made.items()}
    return under.with_channels(mixed)


def _nth(names: tuple[str, ...], i: int, target: str) -> str:
    """The channel that goes into `target`: itself where it is among the names, else the one at its place."""
    if target in names:
        return target
    return names[i] if i < len(names) and names[i] not in ("rgba.red", "rgba.green", "rgba.blue", _ALPHA) else "black"


def _also(node: Any, over: Picture, under: Picture, done: tuple[str, ...]) -> list[str]:
    text = str(node["also_merge"].value())
    named = (*over.channels, *under.channels) if text == "all" else _layers.meant(text)
    return [name for name in dict.fromkeys(named) if name not in done]
