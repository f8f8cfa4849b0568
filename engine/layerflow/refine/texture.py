"""How much of a plate's fine detail belongs to its matte, and how much is the texture of its layers.

Where alpha is between 0 and 1, detail finer than a model's pixels is in part the matte's and in part that of the two
layers. What the layers have of it shows where one of them is seen alone: at an edge that is out of focus, before a
textured background, that is nearly all. What there is beyond it is the matte's (spectral subtraction, Boll 1979), and
the matte's share is the gain of a Wiener filter, with which the expected error of what is added is least.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from layerflow.layers import Pixels
from layerflow.refine.grid import enlarged, shrunk, smoothed, spread

SAMPLES = 3  # in both directions: about so many pixels of a cell are looked at
DOUBT = 0.5  # points: so many with one layer alone count as much as all that are further away

Mask = NDArray[np.bool_]
Covariances = tuple[Pixels, Pixels]  # [h, w, 3] each, of channels 00, 01, 02 and 11, 12, 22; OpenCV shrinks no six


def detail(picture: Pixels, blurred: Pixels) -> Covariances:
    """The covariances of `picture` [H, W, 3] - `blurred` [h, w, 3] around each point, by some of the pixels."""
    grid = blurred.shape[:2]
    step = max(1, round(min(picture.shape[0] / grid[0], picture.shape[1] / grid[1]) / SAMPLES))
    seen = np.ascontiguousarray(picture[step // 2 :: step, step // 2 :: step])
    first, rest = _squared(seen - enlarged(blurred, seen.shape, cubic=True))
    return smoothed(shrunk(first, grid)), smoothed(shrunk(rest, grid))


def coarse(small: Pixels) -> Covariances:
    """The covariances of a picture [h, w, 3] around each point."""
    first, rest = (
        smoothed(square) - mean for square, mean in zip(_squared(small), _squared(smoothed(small)), strict=True)
    )
    return first, rest


def of_layers(every: Covariances, alpha: Pixels, outside: Mask, inside: Mask) -> Covariances:
    """What the texture of both layers has in the covariances `every`, by `alpha` [h, w]; 0 where nothing is known.

    The background is seen alone at the points `outside`, the foreground at those `inside`, [h, w].
    """
    first, rest = np.zeros_like(every[0]), np.zeros_like(every[1])
    for alone, weight in ((outside, 1 - alpha), (inside, alpha)):
        if alone.any():
            seen = alone.astype(np.float32)
            for texture, each in zip((first, rest), every, strict=True):
                texture += weight[..., None] * spread(each * seen[..., None], seen, DOUBT)
    return first, rest


def variance(slope: Pixels, every: Covariances) -> Pixels:
    """That of slope . colour, [h, w], where colours have the covariances `every`."""
    red, green, blue = np.split(slope, 3, axis=-1)
    first = red * slope * np.array((1, 2, 2), np.float32)
    rest = np.concatenate([green * green, 2 * green * blue, blue * blue], axis=-1)
    total: Pixels = (first * every[0] + rest * every[1]).sum(axis=-1)
    return total


def _squared(colour: Pixels) -> Covariances:
    """The products of the channels."""
    red, green, blue = np.split(colour, 3, axis=-1)
    return red * colour, np.concatenate([green * green, green * blue, blue * blue], axis=-1)
