"""Layered HDR shots whose layers are known: what a decomposition of them should give, at any size.

They are drawn, not photographed, and follow from their seed. Scene-linear ACEScg with lamps up to 1000 times white and
colours outside of the gamut, so with negative channels; background and subject move. Lengths are in parts of the
height, but for what is as fine as a pixel: hair and edges.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from layerflow.evaluate.scenery import NEON, Surface, glow, lamps
from layerflow.evaluate.strands import Strands
from layerflow.layers import Pixels

COLORSPACE = "ACEScg"
NUM_EXPOSURES = 16  # of a moving subject while the shutter is open
SHUTTER = 0.5  # of a frame
DEFOCUS = 0.05  # of the height, how wide an edge out of focus is
DEFOCUS_CELLS = 16  # over the height, the finest that is left of such a surface

Box = tuple[float, float]  # x, y in pixels


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The layers of one frame, straight and scene-linear."""

    alpha: Pixels  # [H, W]
    foreground: Pixels  # [H, W, 3]
    background: Pixels  # [H, W, 3]

    @property
    def plate(self) -> Pixels:
        """What a camera would have recorded, [H, W, 3] of half floats."""
        weight = self.alpha[..., None]
        light = weight * self.foreground + (1 - weight) * self.background
        return light.astype(np.float16).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class LayeredShot:
    """One shot: `kind` is one of KINDS."""

    kind: str
    width: int
    height: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")

    def frame(self, number: int) -> Truth:
        """The layers of frame `number`, from 0."""
        pan = 0.004 * self.height * number
        behind = 0.35 * self._surface.seen(-pan, 0.3 * pan) + lamps(self.height, self.width, self.seed, -pan)
        alpha, paint = KINDS[self.kind](self, number)
        return Truth(alpha=alpha, foreground=paint, background=behind)

    def at(self, x: float, y: float) -> Box:
        """A place in pixels; both 0 in the middle, in heights."""
        return self.width / 2 + x * self.height, self.height / 2 + y * self.height

    def disc(self, place: Box, radii: Box, softness: float = 1.0) -> Pixels:
        """Coverage [H, W] of an ellipse of `radii` heights; its edge is `softness` pixels wide and smooth."""
        rx, ry = radii[0] * self.height, radii[1] * self.height
        x = (np.arange(self.width, dtype=np.float32) - np.float32(place[0] - 0.5)) / np.float32(rx)
        y = (np.arange(self.height, dtype=np.float32) - np.float32(place[1] - 0.5)) / np.float32(ry)
        inward = (1 - np.sqrt(x[None] ** 2 + y[:, None] ** 2)) * np.float32(min(rx, ry) / softness)
        ramp: Pixels = np.clip(inward + np.float32(0.5), 0, 1)
        return ramp if softness <= 1 else ramp * ramp * (3 - 2 * ramp)

    def paint(self, right: float, tint: tuple[float, float, float]) -> Pixels:
        """A surface of the subject [H, W, 3], moved so many pixels to the right."""
        return np.multiply(self._cloth.seen(right, 0.0), np.array(tint, np.float32))

    @cached_property
    def _surface(self) -> Surface:
        return Surface(self.height, self.width, max(8, self.height // 8), self.seed)

    @cached_property
    def _cloth(self) -> Surface:
        focus = DEFOCUS_CELLS if self.kind == "defocus" else math.inf
        return Surface(self.height, self.width, max(8, self.height // 8), self.seed + 1, focus)

    @cached_property
    def strands(self) -> Strands:
        """The hair of a head in the middle of the picture."""
        return Strands(height=self.height, root=self.at(0.0, -0.08), radii=(0.15, 0.2), seed=self.seed)


def _hair(shot: LayeredShot, number: int) -> tuple[Pixels, Pixels]:
    """A head and shoulders that sway, with flyaway hair in the light."""
    sway = 0.01 * np.sin(0.5 * number)
    right = sway * shot.height
    body = np.maximum(
        shot.disc(shot.at(sway, -0.08), (0.15, 0.2)),
        shot.disc(shot.at(0.6 * sway, 0.55), (0.42, 0.36)),
    )
    hair, light = shot.strands.drawn((shot.height, shot.width), right, number)
    alpha = hair + (1 - hair) * body
    weight = np.divide(hair, alpha, out=np.zeros_like(hair), where=alpha > 0)[..., None]
    skin = shot.paint(right, (0.35, 0.22, 0.15))
    return alpha, weight * light + (1 - weight) * skin


def _blur(shot: LayeredShot, number: int) -> tuple[Pixels, Pixels]:
    """A ball in flight: its coverage and its light are averaged while the shutter is open."""
    alpha, light = np.zeros((shot.height, shot.width), np.float32), np.zeros((shot.height, shot.width, 3), np.float32)
    for exposure in range(NUM_EXPOSURES):
        time = number + SHUTTER * (exposure + 0.5) / NUM_EXPOSURES
        place = shot.at(-0.25 + 0.06 * time, 0.1 - 0.25 * np.sin(0.3 * time + 0.5))
        cover = shot.disc(place, (0.16, 0.16))
        paint = shot.paint(0.06 * time * shot.height, (0.6, 0.12, 0.05))
        glow(paint, (place[0] - 0.05 * shot.height, place[1] - 0.06 * shot.height), 0.01 * shot.height, _white(60))
        light += cover[..., None] * paint
        alpha += cover
    straight = np.divide(light, alpha[..., None], out=np.zeros_like(light), where=alpha[..., None] > 0)
    return alpha / np.float32(NUM_EXPOSURES), straight


def _glass(shot: LayeredShot, number: int) -> tuple[Pixels, Pixels]:
    """A thin bowl on an opaque stem: a quarter there, more at its rim, with reflections of 1000."""
    right = 0.03 * np.sin(0.4 * number)
    place = shot.at(right, -0.1)
    whole, inner = shot.disc(place, (0.28, 0.24)), shot.disc(place, (0.25, 0.21), 0.06 * shot.height)
    stem = np.maximum(
        shot.disc(shot.at(right, 0.3), (0.025, 0.2)),
        shot.disc(shot.at(right, 0.44), (0.16, 0.03)),
    )
    alpha = np.maximum(whole * (0.8 - 0.55 * inner), stem)
    paint = shot.paint(right * shot.height, (0.1, 0.16, 0.2))
    for x, y, radius, peak in ((-0.12, -0.2, 0.006, 1000.0), (0.14, -0.02, 0.01, 80.0)):
        glow(paint, shot.at(right + x, y), radius * shot.height, _white(peak))
    glow(paint, shot.at(right, 0.0), 0.05 * shot.height, NEON)
    return alpha, paint


def _defocus(shot: LayeredShot, number: int) -> tuple[Pixels, Pixels]:
    """Something near the lens, out of focus: its edge a twentieth of the height wide, its surface without detail."""
    right = -0.1 + 0.012 * number
    alpha = shot.disc(shot.at(right, 0.2), (0.33, 0.42), DEFOCUS * shot.height)
    return alpha, shot.paint(right * shot.height, (0.12, 0.2, 0.4))


def _white(peak: float) -> Pixels:
    return np.full(3, peak, np.float32)


KINDS: dict[str, Callable[[LayeredShot, int], tuple[Pixels, Pixels]]] = {
    "hair": _hair,
    "blur": _blur,
    "glass": _glass,
    "defocus": _defocus,
}
