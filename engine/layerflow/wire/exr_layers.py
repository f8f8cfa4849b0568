"""Which channels of an EXR are which layer: what the engine writes, as it and hosts read it."""

from __future__ import annotations

import re
from typing import Dict, List, Mapping, Tuple

BLENDED = "blended"  # the top level, R, G, B, A without a layer's name

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_HOST_WORDS = frozenset({"main", "left", "right", "rgb", "rgba"})  # views and top-level channels in other programs
_FOREGROUND = re.compile(r"foreground(\d*)")
_UNWRITTEN = 99  # behind all that the header names


def is_layer_name(name: str) -> bool:
    """Whether `name` can be a layer's."""
    return _NAME.fullmatch(name) is not None and name.lower() not in _HOST_WORDS


def layer_channels(place: Mapping[str, int], layers: str) -> Dict[str, List[int]]:
    """Layer -> its channel numbers in R, G, B(, A) order, top layer first. The top level's alpha of 1 is dropped.

    `place` is where the file has each channel, and `layers` what its header says in layerflow:layers.
    """
    written = [name for name in layers.split(",") if name]
    prefixes = {BLENDED if len(written) != 1 else written[0]: ""}
    prefixes.update({name[:-2]: name[:-1] for name in place if name.endswith(".R") and is_layer_name(name[:-2])})
    columns = {}
    for layer in sorted(prefixes, key=lambda name: (_place_of(name, written), _rank(name))):
        letters = "RGB" if layer == BLENDED else "RGBA"
        numbers = [place[prefixes[layer] + letter] for letter in letters if prefixes[layer] + letter in place]
        if len(numbers) >= 3:
            columns[layer] = numbers
    return columns


def _place_of(name: str, written: List[str]) -> int:
    return written.index(name) if name in written else _UNWRITTEN


def _rank(layer: str) -> Tuple[int, int, str]:
    found = _FOREGROUND.fullmatch(layer)
    if found is not None:
        return 0, int(found.group(1) or 0), layer
    return (1 if layer == "background" else 2), 0, layer
