"""How far two picture sequences lie apart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(kw_only=True)
class Difference:
    """Errors gathered picture by picture, so that a long shot never sits in memory whole."""

    max: float = 0.0
    total: float = 0.0
    total_squared: float = 0.0
    count: int = 0  # of values, every channel of every pixel

    def add(self, picture: ArrayLike, expected: ArrayLike) -> None:
        """Takes in one pair of pictures of equal shape and any range."""
        error = np.abs(np.asarray(picture, np.float64) - np.asarray(expected, np.float64))
        self.max = max(self.max, float(error.max()))
        self.total += float(error.sum())
        self.total_squared += float(np.square(error).sum())
        self.count += error.size

    @property
    def mean(self) -> float | None:
        """Mean absolute error, or None before the first picture."""
        return self.total / self.count if self.count else None

    @property
    def psnr_db(self) -> float | None:
        """Peak signal-to-noise ratio in dB against white at 1, or None where nothing differs."""
        return -10.0 * math.log10(self.total_squared / self.count) if self.total_squared else None
