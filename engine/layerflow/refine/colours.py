"""Colours behind and in front of a plate, from a model's colours and the plate itself.

A model's colours are off a little everywhere, and the plate shows how much where only one layer is seen. That
difference, spread from there under the other layer by a pyramid (push-pull, Gortler et al. 1996), corrects the model
where the plate cannot: a background agrees with the plate around its hole. How far into a hole the difference is worth
anything is seen in the plate as well: it fades as fast as differences become unlike with distance (simple kriging), so
that a wrong exposure is corrected everywhere and an error of one place only there. It is taken between logarithms, so
that a highlight a thousand times the model's white counts as some stops, and does not drown what is around.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from layerflow.layers import Pixels
from layerflow.refine.grid import enlarged, grid_of, shrunk, spread

SEEN = 0.02  # a layer whose weight is that near to 1 shows as the plate
BLOCK = 1 / 4  # blocks per pixel, whose mean colours are compared
GRID = 1 / 8  # points of the correction per pixel
DOUBT = 0.5  # pixels: so many seen ones at a point count as much as all its surroundings
STRIP = 64  # rows at a time, which stay in the processor's cache
KNEE = 0.02  # scene-linear; where the logarithm becomes linear: dark grey, and the noise of a plate


def colours(plate: Pixels, alpha: Pixels, foreground: Pixels, background: Pixels) -> tuple[Pixels, Pixels]:
    """`foreground` and `background` as the plate corrects them, scene-linear [H, W, 3] of any sign and size, finite.

    `plate` [H, W, 3] and the estimates are scene-linear, `alpha` [H, W]. Where alpha is 1 the foreground is the plate,
    and where it is 0 the background is.
    """
    made = _agreed(plate, alpha >= 1 - SEEN, foreground), _agreed(plate, alpha <= SEEN, background)
    for colour, full in zip(made, (alpha >= 1, alpha <= 0), strict=True):
        np.copyto(colour, plate, where=full[..., None])
    return made


def _agreed(plate: Pixels, where: NDArray[np.bool_], estimate: Pixels) -> Pixels:
    """`estimate` with its difference from the `plate`, in logarithms, taken from `where` and spread."""
    blocks, grid = grid_of(plate, BLOCK), grid_of(plate, GRID)
    mask = where.astype(np.uint8)
    seen = shrunk(mask.astype(np.float32), blocks)
    sums = (shrunk(_floats(cv2.copyTo(colour, mask)), blocks) for colour in (plate, estimate))
    own, other = (np.arcsinh(each / np.maximum(seen, 1e-6)[..., None] / KNEE) for each in sums)
    stops = _floats((own - other) * seen[..., None])
    changed = enlarged(spread(shrunk(stops, grid), shrunk(seen, grid), DOUBT, fading=True), plate.shape)
    for start in range(0, len(plate), STRIP):
        rows = slice(start, start + STRIP)
        changed[rows] = _brighter(estimate[rows], changed[rows])
    return changed


def _brighter(colour: Pixels, stops: Pixels) -> Pixels:
    """`colour` with `stops` added to its logarithm: the sinh of a sum."""
    up = np.exp(stops)
    down = 1 / up
    return _floats(0.5 * (colour * (up + down) + np.sqrt(colour * colour + KNEE * KNEE) * (up - down)))


def _floats(values: NDArray[Any]) -> Pixels:
    return np.asarray(values, np.float32)
