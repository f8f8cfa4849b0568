"""Hair: thin curved strands on a head, drawn by laying down points along them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from layerflow.layers import Pixels

NUM_STRANDS = 500
STEP = 0.4  # pixels between the points of a strand
DENSITY = 0.9  # of a strand, times its width in pixels over a step: what a pixel of it covers
LENGTH = 0.22  # of the longest strand, in heights


@dataclass(frozen=True, kw_only=True)
class Strands:
    """Hair that grows from the upper half of an ellipse: `root` its middle in pixels, `radii` in heights."""

    height: int
    root: tuple[float, float]
    radii: tuple[float, float]
    seed: int

    def drawn(self, shape: tuple[int, int], right: float, time: float) -> tuple[Pixels, Pixels]:
        """Coverage [H, W] and straight colour [H, W, 3] at `time`, the head having moved so many pixels."""
        x, y, shade = self._points(time)
        density, light = _splat(shape, x + right, y, self._width, shade)
        colour = np.divide(light, density, out=np.zeros_like(light), where=density > 0)
        tint = np.array([1.0, 0.62, 0.35], np.float32)
        return np.asarray(1 - np.exp(-density), np.float32), colour[..., None] * tint

    @property
    def _width(self) -> float:
        """Pixels: a little over one in 4K, and never less than most of one."""
        return max(0.7, self.height / 2160 * 1.3)

    @cached_property
    def _grown(self) -> dict[str, NDArray[np.float64]]:
        rng = np.random.default_rng(self.seed + 2)
        return {
            "angle": rng.uniform(-0.05, np.pi + 0.05, (NUM_STRANDS, 1)),
            "length": rng.uniform(0.3, 1.0, (NUM_STRANDS, 1)) * LENGTH,
            "curl": rng.normal(0, 1.2, (NUM_STRANDS, 1)),
            "wave": rng.uniform(0, 2 * np.pi, (NUM_STRANDS, 1)),
            "shade": rng.uniform(0.02, 0.25, (NUM_STRANDS, 1)) + (rng.random((NUM_STRANDS, 1)) < 0.1) * 4.0,
        }

    def _points(self, time: float) -> tuple[NDArray[np.float64], ...]:
        """x, y and light of every point, flat."""
        grown = self._grown
        along = np.linspace(0, 1, max(2, int(LENGTH * self.height / STEP)))[None]
        turn = grown["angle"] + grown["curl"] * along + 0.12 * along * np.sin(0.7 * time + grown["wave"])
        span = grown["length"] * self.height
        x = self.root[0] + np.cos(grown["angle"]) * self.radii[0] * self.height * 0.97 + span * along * np.cos(turn)
        y = self.root[1] - np.sin(grown["angle"]) * self.radii[1] * self.height * 0.97 - span * along * np.sin(turn)
        shine = grown["shade"] * (1 + 2 * np.exp(-((along - 0.4) ** 2) / 0.02))
        return x.ravel(), y.ravel(), (shine + 0 * x).ravel()


def _splat(
    shape: tuple[int, int], x: NDArray[np.float64], y: NDArray[np.float64], width: float, light: NDArray[np.float64]
) -> tuple[Pixels, Pixels]:
    """How dense points lie about each pixel [H, W], by a Gaussian of `width`, and the light that they carry."""
    density, carried = np.zeros(shape[0] * shape[1]), np.zeros(shape[0] * shape[1])
    column, row = np.floor(x).astype(np.intp), np.floor(y).astype(np.intp)
    reach = int(np.ceil(1.5 * width))
    scale = DENSITY * STEP / width
    for down in range(-reach, reach + 1):
        for across in range(-reach, reach + 1):
            to_x, to_y = column + across, row + down
            inside = (to_x >= 0) & (to_x < shape[1]) & (to_y >= 0) & (to_y < shape[0])
            distance = (to_x + 0.5 - x) ** 2 + (to_y + 0.5 - y) ** 2
            weight = scale * np.exp(-distance / (0.5 * width**2))
            place = (to_y * shape[1] + to_x)[inside]
            density += np.bincount(place, weight[inside], density.size)
            carried += np.bincount(place, (weight * light)[inside], density.size)
    return np.asarray(density.reshape(shape), np.float32), np.asarray(carried.reshape(shape), np.float32)
