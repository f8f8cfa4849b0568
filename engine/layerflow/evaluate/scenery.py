"""Procedural surfaces and lights for shots whose layers are known. All of it follows from a seed."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as nnf
from numpy.typing import NDArray

from layerflow.layers import Pixels

OCTAVES = (4, 8, 16, 32, 64, 128, 256)  # cells of noise over the height of a picture
NEON = np.array([-0.3, 1.0, 0.35], np.float32)  # a green outside of AP1: its red is negative
CHROMA = 0.3  # of what varies
GRAIN = 0.03


class Surface:
    """A coloured surface larger than the picture, which may be seen through a moving window.

    One out of `focus` has no detail finer than that many cells over the height, and no grain.
    """

    def __init__(self, rows: int, columns: int, margin: int, seed: int, focus: float = math.inf) -> None:
        draw = torch.Generator().manual_seed(seed)
        size = rows + 2 * margin, columns + 2 * margin
        level = torch.zeros(1, 3, *size)
        for cells in OCTAVES:
            if cells > min(rows, focus):
                break
            grid = torch.randn(1, 3, cells + 1, max(2, round(cells * size[1] / size[0])) + 1, generator=draw)
            shades = grid[:, :1] + CHROMA * grid
            level += nnf.interpolate(shades, size, mode="bicubic") * cells**-0.7
        if math.isinf(focus):
            level += torch.randn(1, 1, *size, generator=draw) * GRAIN
        self._light = np.ascontiguousarray(torch.exp(level)[0].movedim(0, -1).numpy())
        self._margin = margin
        self._shape = rows, columns

    def seen(self, right: float, down: float) -> Pixels:
        """[H, W, 3], about 1 on average, the surface having moved so many pixels; linear between pixels."""
        limit = self._margin - 1
        top, left = (self._margin - float(np.clip(way, -limit, limit)) for way in (down, right))
        row, column = int(top), int(left)
        rows, columns = self._shape
        corners = self._light[row : row + rows + 1, column : column + columns + 1]
        across = corners[:, :-1] + (corners[:, 1:] - corners[:, :-1]) * np.float32(left - column)
        out: Pixels = across[:-1] + (across[1:] - across[:-1]) * np.float32(top - row)
        return out


def lamps(rows: int, columns: int, seed: int, drift: float) -> Pixels:
    """Light [H, W, 3] to be added: small bright lamps of 10 to 1000 and two neon signs, `drift` pixels to the right."""
    rng = np.random.default_rng(seed)
    light = np.zeros((rows, columns, 3), np.float32)
    for peak in (1000.0, 300.0, 100.0, 30.0, 10.0):
        tint = np.array([1.0, rng.uniform(0.6, 0.95), rng.uniform(0.3, 0.8)], np.float32)
        glow(light, _place(rng, rows, columns, drift), rows * rng.uniform(0.004, 0.012), peak * tint)
    for _ in range(2):
        glow(light, _place(rng, rows, columns, drift), rows * 0.05, 2.0 * NEON)
    return light


def _place(rng: np.random.Generator, rows: int, columns: int, drift: float) -> tuple[float, float]:
    return float(rng.uniform(0.05, 0.95) * columns + drift), float(rng.uniform(0.05, 0.95) * rows)


def glow(light: Pixels, place: tuple[float, float], radius: float, colour: NDArray[np.float32]) -> None:
    """Adds a Gaussian spot of `radius` pixels about `place` (x, y) to `light` [H, W, 3], up to four radii away."""
    reach = int(4 * radius) + 2
    x, y = place
    across = np.arange(max(int(x) - reach, 0), min(int(x) + reach, light.shape[1]))
    down = np.arange(max(int(y) - reach, 0), min(int(y) + reach, light.shape[0]))
    if len(across) and len(down):
        spot = (
            np.exp(-((down[:, None] - y) ** 2)[..., None] / (2 * radius**2)) * _bell(across - x, radius)[None, :, None]
        )
        light[down[0] : down[-1] + 1, across[0] : across[-1] + 1] += (spot * colour).astype(np.float32)


def _bell(distance: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    return np.asarray(np.exp(-(distance**2) / (2 * radius**2)))
