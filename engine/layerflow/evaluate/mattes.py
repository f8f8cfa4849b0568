"""How far a matte is from the true one, in the measures that matting papers use.

SAD, MSE, gradient and connectivity are those of Rhemann et al. 2009, "A perceptually motivated online benchmark for
image matting", with the constants of their evaluation code; dtSSD is of Erofeev et al. 2015, "Perceptually motivated
benchmark for video matting", the root of the mean over pixels instead of the sum, so that sizes can be compared.
All are 0 for equal mattes and nothing is scaled: papers print SAD, gradient and connectivity in thousands.

Mattes are [H, W] in [0, 1], and boolean for the intersection over union.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from layerflow.layers import Pixels

SIGMA = 1.4  # pixels, of the Gaussian whose derivative is the gradient
REACH = 4  # pixels from its middle, where it has fallen to a hundredth
LEVELS = np.arange(11) / 10  # of the matte, at which connectedness is looked at
SLIGHT = 0.15  # so much above its connected level a pixel may be

Mask = NDArray[np.bool_]


def iou(made: Mask, truth: Mask) -> float:
    """Intersection over union of two boolean mattes of any shape; 1 when both are empty."""
    union = np.logical_or(made, truth).sum()
    return float(np.logical_and(made, truth).sum() / union) if union else 1.0


def sad(made: Pixels, truth: Pixels) -> float:
    """Sum of absolute differences."""
    return float(np.abs(_wide(made) - truth).sum())


def mse(made: Pixels, truth: Pixels) -> float:
    """Mean of squared differences."""
    return float(np.square(_wide(made) - truth).mean())


def gradient(made: Pixels, truth: Pixels) -> float:
    """Sum of squared differences of the gradients' magnitudes."""
    return float(np.square(_slope(made) - _slope(truth)).sum())


def connectivity(made: Pixels, truth: Pixels) -> float:
    """Sum of absolute differences of what stands out of the subject, which is one piece.

    A pixel's level is the highest at which it still belongs to the largest region, by four neighbours, where both
    mattes reach that level; what stands out is a matte above its level, unless slightly.
    """
    level = np.ones(made.shape)
    reached = np.ones(made.shape, bool)
    for below, threshold in itertools.pairwise(LEVELS):
        now = _largest((made >= threshold) & (truth >= threshold))
        level[reached & ~now] = below
        reached &= now
    return float(np.abs(_excess(made, level) - _excess(truth, level)).sum())


def flicker(made: tuple[Pixels, Pixels], truth: tuple[Pixels, Pixels]) -> float:
    """dtSSD of two frames that follow each other: RMS of the difference of what changed."""
    change, right = (_wide(later) - earlier for earlier, later in (made, truth))
    return float(np.sqrt(np.square(change - right).mean()))


@dataclass(kw_only=True)
class MatteScore:
    """The measures of a sequence, its frames given one after the other; two of them are held."""

    _sums: dict[str, float] = field(default_factory=dict)
    _count: int = 0
    _before: tuple[Pixels, Pixels] | None = None

    def add(self, made: Pixels, truth: Pixels) -> None:
        """Takes the next frame. Raises ValueError when shapes differ."""
        if made.shape != truth.shape or made.ndim != 2:
            raise ValueError(f"mattes must be [H, W] alike, got {made.shape} and {truth.shape}")
        values = {measure.__name__: measure(made, truth) for measure in (sad, mse, gradient, connectivity)}
        if self._before is not None:
            values["dtssd"] = flicker((self._before[0], made), (self._before[1], truth))
        self._before = made.copy(), truth.copy()
        self._count += 1
        self._sums = {name: self._sums.get(name, 0.0) + value for name, value in values.items()}

    def means(self) -> dict[str, float]:
        """`sad`, `mse`, `gradient` and `connectivity` of a frame; from two frames on `dtssd` of a pair."""
        pairs = self._count - 1
        return {name: total / (pairs if name == "dtssd" else self._count) for name, total in self._sums.items()}


def _wide(matte: Pixels) -> NDArray[np.float64]:
    return matte.astype(np.float64)


def _slope(matte: Pixels) -> NDArray[np.float64]:
    place = np.arange(-REACH, REACH + 1)
    bell = np.exp(-(place**2) / (2 * SIGMA**2))
    fall = place * bell
    bell, fall = bell / np.linalg.norm(bell), fall / np.linalg.norm(fall)
    parts = []
    for axis in (0, 1):
        smooth = ndimage.correlate1d(_wide(matte), bell, axis=1 - axis, mode="nearest")
        parts.append(ndimage.correlate1d(smooth, fall, axis=axis, mode="nearest"))
    return np.asarray(np.hypot(*parts))


def _largest(mask: Mask) -> Mask:
    """The largest of the regions of `mask`, by four neighbours; of equals the first in reading order."""
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    found: Mask = labels == sizes.argmax()
    return found


def _excess(matte: Pixels, level: NDArray[np.float64]) -> NDArray[np.float64]:
    above = _wide(matte) - level
    return np.where(above >= SLIGHT, above, 0.0)
