"""What solving gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from layerflow.layers import Pixels


@dataclass(frozen=True, kw_only=True)
class Recomposed:
    """Layers of one frame, straight, every number a half float: `alpha * foreground + (1 - alpha) * background`."""

    alpha: Pixels  # [H, W] in [0, 1]
    foreground: Pixels  # [H, W, 3]
    background: Pixels  # [H, W, 3]
    residual: Pixels | None  # [H, W, 3] to be added, where the plate is beyond half floats
    residual_energy: float  # sum of its squares over the plate's
    num_moved: int  # pixels whose alpha is not the estimate's


def energy(values: Pixels) -> float:
    """The sum of squares."""
    return float(np.square(values, dtype=np.float64).sum())
