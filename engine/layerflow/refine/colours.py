"""Colours behind and in front of a plate, from a model's colours and the plate itself.

A model's colours are off a little everywhere, and the plate shows how much where only one layer is seen. That
difference, spread from there under the other layer by a pyramid (push-pull, Gortler et al. 1996), corrects the model
where the plate cannot: a background agrees with the plate around its hole. It is taken between logarithms, so that a
highlight a thousand times the model's white counts as a difference of some stops, and does not drown what is around.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from layerflow.layers import Pixels
from layerflow.refine.grid import enlarged, grid_of, shrunk

SEEN = 0.02  # a layer whose weight is that near to 1 shows as the plate
GRID = 1 / 8  # points of the correction per pixel
DOUBT = 0.5  # pixels: so many seen ones at a point count as much as all its surroundings
KNEE = 0.02  # scene-linear; where the logarithm becomes linear: dark grey, and the noise of a plate


def colours(plate: Pixels, alpha: Pixels, foreground: Pixels, background: Pixels) -> tuple[Pixels, Pixels]:
    """`foreground` and `background` as the plate corrects them, scene-linear [H, W, 3] of any sign and size, finite.

    `plate` [H, W, 3] and the estimates are scene-linear, `alpha` [H, W]. Where alpha is 1 the foreground is the plate,
    and where it is 0 the background is.
    """
    seen = _log(plate)
    return (
        np.where((alpha >= 1)[..., None], plate, _agreed(seen, alpha >= 1 - SEEN, foreground)),
        np.where((alpha <= 0)[..., None], plate, _agreed(seen, alpha <= SEEN, background)),
    )


def _agreed(seen: Pixels, where: NDArray[np.bool_], estimate: Pixels) -> Pixels:
    """`estimate` with its difference from the plate, as a logarithm `seen`, taken from `where` and spread."""
    own = _log(estimate)
    weight = where.astype(np.float32)
    grid = grid_of(seen, GRID)
    correction = _spread(shrunk((seen - own) * weight[..., None], grid), shrunk(weight, grid))
    return _exp(own + enlarged(correction, seen.shape))


def _spread(sums: Pixels, weight: Pixels) -> Pixels:
    """The mean of `sums` [h, w, 3] over `weight` [h, w], from ever further away where there is less weight."""
    height, width = weight.shape
    if max(height, width) == 1:
        return _floats(sums / np.maximum(weight, 1e-6)[..., None])
    half = (height + 1) // 2, (width + 1) // 2
    far = enlarged(_spread(shrunk(sums, half), shrunk(weight, half)), sums.shape)
    return _floats((sums + DOUBT * far) / (weight + DOUBT)[..., None])


def _log(linear: Pixels) -> Pixels:
    return _floats(np.arcsinh(linear / KNEE))


def _exp(log: Pixels) -> Pixels:
    return _floats(np.sinh(log) * KNEE)


def _floats(values: NDArray[np.floating]) -> Pixels:
    return values.astype(np.float32, copy=False)
