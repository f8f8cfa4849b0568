"""How a LoRA is asked for: "dog.safetensors", or "dog.safetensors:0.8" with a weight."""

from __future__ import annotations

import re
from typing import Tuple

from layerflow.wire import checks

MAX_WEIGHT = 4.0  # either way; beyond it there is only noise

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|[+-]?(?:nan|inf|infinity)", re.IGNORECASE)


def parse_lora(text: str) -> Tuple[str, float]:
    """The path and the weight in "path" or "path:weight"; 1.0 where none is given. ValueError for nonsense.

    Only a number behind the last colon is a weight, so Windows drives and colons in names stay part of the path. A
    path that itself ends like that is told apart by giving the weight: "take:2:1".
    """
    path, colon, weight = text.rpartition(":")
    if not (colon and _NUMBER.fullmatch(weight)):
        path, weight = text, "1"
    if not path.strip():
        raise ValueError("there is no file in the LoRA {!r}; write FILE or FILE:WEIGHT".format(text))
    checks.check_local_path("LoRA", path)
    if path.endswith(":"):
        raise ValueError("the weight is missing behind the colon of the LoRA {!r}; try {}0.8".format(path, path))
    checks.check_range("the weight of the LoRA {!r}".format(path), float(weight), -MAX_WEIGHT, MAX_WEIGHT)
    return path, float(weight)


def write_lora(path: str, weight: float) -> str:
    """The text that `parse_lora` reads as this path and this weight."""
    return "{}:{!r}".format(path, weight)
