"""Which alpha, near the estimated one, lets both layers have colours within their range."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from layerflow.layers import Pixels
from layerflow.recomposition.tile import DARK, Tile


def moved(tile: Tile, uncertainty: Pixels) -> Pixels:
    """The light layer's weight [n] after the least move, at most `uncertainty` [n], that helps the colours of `tile`.

    `tile` is loaded and fitted. The move is towards the weight at which the estimates explain the plate best, and ends
    there at the latest: one step of least squares, sum(d g) / sum(d^2 / D) with d = light - heavy (see the package).
    """
    light, heavy, gain = tile.light, tile.heavy, tile.gain
    weight = tile.light_weight[::3]
    up, down = _cures(tile)
    apart = light - heavy
    variance = tile.light_weight**2 * np.maximum(light, DARK) + tile.heavy_weight**2 * np.maximum(heavy, DARK)
    slope = _by_pixel(apart**2 / variance).sum(axis=1)
    best = weight + _by_pixel(apart * gain).sum(axis=1) / np.maximum(slope, np.float32(1e-30))
    found = np.where(best > weight, np.minimum(up, best), np.maximum(down, best))
    near: Pixels = np.clip(np.clip(found, weight - uncertainty, weight + uncertainty), 0.0, 1.0)
    return near


def _by_pixel(values: Pixels) -> Pixels:
    return values.reshape(-1, 3)


def _cures(tile: Tile) -> tuple[Pixels, Pixels]:
    """The nearest weights [n] above and below at which no colour that is out of range now still is."""
    plate, low, light, heavy = tile.plate, tile.low, tile.light, tile.heavy
    variances = np.maximum(light, DARK), np.maximum(heavy, DARK)
    ratio = variances[1] / variances[0]
    light_top, heavy_top = tile.ceiling(light), tile.ceiling(heavy)
    light_fit = light + tile.light_weight * variances[0] * tile.gain
    heavy_fit = heavy + tile.heavy_weight * variances[1] * tile.gain
    weight = tile.light_weight
    cures = (
        (light_fit < low, _roots(light - low, heavy - low, plate - low, ratio)),
        (light_fit > light_top, _roots(light_top - light, light_top - heavy, light_top - plate, ratio)),
        (heavy_fit < low, _mirrored(_roots(heavy - low, light - low, plate - low, 1 / ratio))),
        (heavy_fit > heavy_top, _mirrored(_roots(heavy_top - heavy, heavy_top - light, heavy_top - plate, 1 / ratio))),
    )
    up, down = weight.copy(), weight.copy()
    for violated, (above, below) in cures:
        helps: NDArray[np.bool_] = violated & (plate > 0)  # where the plate is negative, no alpha helps
        np.maximum(up, above, out=up, where=helps)
        np.minimum(down, below, out=down, where=helps)
    return _by_pixel(up).max(axis=1), _by_pixel(down).min(axis=1)


def _roots(own: Pixels, other: Pixels, plate: Pixels, ratio: Pixels) -> tuple[Pixels, Pixels]:
    """The weights between which a layer's fit is beyond a limit, the greater first; all colours seen from the limit."""
    half = other - plate
    sum_ = half + np.sqrt(np.maximum(half * half - 4 * plate * own * ratio, 0.0))
    sum_ = np.maximum(sum_, np.float32(1e-30))
    product = 2 * ratio * own
    return sum_ / (sum_ + 2 * plate), product / (product + sum_)


def _mirrored(weights: tuple[Pixels, Pixels]) -> tuple[Pixels, Pixels]:
    above, below = weights
    return 1 - below, 1 - above
