"""What a model folder's weights are, from their headers alone."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from layerflow.models.float8 import is_big_linear

_BLOCK = re.compile(r"(?:^|\.)(?:block|transformer_blocks)\.(\d+)\.")
_STORED = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


@dataclass(frozen=True, kw_only=True)
class Weights:
    """The weights of one part of a model."""

    num_parameters: int
    largest_block: int  # parameters
    outside_blocks: int  # parameters
    big_linears: int  # parameters of the layers that float8 turns to FP8
    dtype: torch.dtype | None  # as stored; None when they are of more than one type, or of another than these three
    config: dict[str, Any]


def weights_of(folder: Path) -> Weights:
    """The weights in the part of a model that is in `folder`. Raises as safetensors and json do for damaged files."""
    sizes: Counter[str] = Counter()
    big_linears = 0
    kinds = set()
    for name, shape, kind in _tensors(folder):
        block = _BLOCK.search(name)
        sizes[block[1] if block else ""] += prod(shape)
        kinds.add(kind)
        big_linears += is_big_linear(name.removesuffix(".weight")) * prod(shape)
    config = folder / "config.json"
    return Weights(
        num_parameters=sizes.total(),
        largest_block=max((size for block, size in sizes.items() if block), default=0),
        outside_blocks=sizes[""],
        big_linears=big_linears,
        dtype=_STORED.get(kinds.pop()) if len(kinds) == 1 else None,
        config=json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {},
    )


def shapes_of(folder: Path) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor in `folder`. Raises as `weights_of` does."""
    return {name: tuple(shape) for name, shape, _ in _tensors(folder)}


def _tensors(folder: Path) -> Iterator[tuple[str, list[int], str]]:
    for path in sorted(folder.glob("*.safetensors")):
        if not path.is_file():  # to open a pipe is to wait for somebody to write into it
            raise OSError(f"{path.name} is not a regular file")
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - it is no mapping
                part = file.get_slice(name)
                yield name, part.get_shape(), part.get_dtype()
