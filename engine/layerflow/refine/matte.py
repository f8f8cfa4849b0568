"""What refining gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from layerflow.layers import Pixels
from layerflow.refine.grid import enlarged, extremes, grid_of, shrunk

CERTAIN = 0.02  # a model's mattes are that far from 0 and 1 where it means just these
DOUBT = 0.01  # of an alpha that counts as certain, beside one that does not

Kind = Literal["off", "fast", "best"]


@dataclass(frozen=True, kw_only=True)
class Matte:
    """A matte at the plate's resolution."""

    alpha: Pixels  # [H, W] in [0, 1]
    uncertainty: Pixels  # [H, W] how wrong alpha may be; 0 where it is certain


def agreed(mattes: Sequence[Matte]) -> Matte:
    """The mean of `mattes` of one frame, of each most where it is least uncertain."""
    if len(mattes) == 1:
        return mattes[0]
    weights = [1 / (each.uncertainty**2 + DOUBT**2) for each in mattes]
    total = np.sum(weights, axis=0)
    pairs = [(each.alpha * weight, each.uncertainty * weight) for each, weight in zip(mattes, weights, strict=True)]
    alpha, uncertainty = (np.sum(every, axis=0) / total for every in zip(*pairs, strict=True))
    return Matte(alpha=alpha, uncertainty=uncertainty)


def plain(soft: Pixels, cell: float) -> Matte:
    """`soft` [H, W] as it is; as wrong, perhaps, as it varies within a `cell`."""
    alpha = soft.clip(0.0, 1.0)
    low, high = extremes(shrunk(alpha, grid_of(alpha, 1 / cell)))
    varied = np.where((high > CERTAIN) & (low < 1 - CERTAIN), high - low, np.float32(0))
    return Matte(alpha=alpha, uncertainty=enlarged(varied, alpha.shape))
