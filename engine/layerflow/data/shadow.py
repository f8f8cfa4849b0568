"""Shadows of a placed foreground: how much light they take from what lies below it.

A shadow belongs to what it falls on. By default the layers below are darker there and alpha stays coverage: the matte
of a thing is the thing, which is what decomposing has to learn, and laying it over its own background is exact. The
other way, a shadow that an artist can move with its thing, puts it into the foreground as black of soft alpha; the
background is then clean and the matte is no longer the thing's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np

from layerflow import layers
from layerflow.data.light import Floats

Owner = Literal["background", "foreground", "none"]
OWNERS: tuple[Owner, ...] = get_args(Owner)
ShadowKind = Literal["drop", "contact"]


@dataclass(frozen=True, kw_only=True)
class Shadow:
    """A shadow's look. Lengths are shares of the canvas height."""

    kind: ShadowKind
    strength: float  # light taken away in its middle, 0 to 1
    softness: float  # standard deviation of its blur
    x: float  # of a drop shadow, how far it lies beside; of a contact shadow, how far it leans per unit of height
    y: float  # of a drop shadow, how far it lies below; of a contact shadow, its height per unit of the thing's

    def taken(self, alpha: Floats, lift: float) -> Floats:
        """Share of light [H, W] that the shadow of `alpha` [H, W] takes, `lift` pixels above the ground."""
        height = alpha.shape[0]
        matrix = self._dropped(height, lift) if self.kind == "drop" else self._lying(alpha, lift)
        size = alpha.shape[1], height
        cast = cv2.warpAffine(alpha, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        blur = max(0.3, self.softness * height * (1.0 + 2.0 * lift / height))  # further from the ground, softer
        soft = cv2.GaussianBlur(cast, (0, 0), blur, borderType=cv2.BORDER_CONSTANT)
        return np.asarray(soft, np.float32) * np.float32(self.strength)

    def _dropped(self, height: int, lift: float) -> np.ndarray:
        return np.array([[1.0, 0.0, self.x * height], [0.0, 1.0, self.y * height + lift]])

    def _lying(self, alpha: Floats, lift: float) -> np.ndarray:
        """Laid flat on the ground below the lowest row of the thing: y' = ground + flat (y - bottom)."""
        rows = np.flatnonzero(alpha.max(axis=1) > 0.5)
        bottom = float(rows[-1]) if rows.size else float(alpha.shape[0])
        ground = bottom + lift
        return np.array([[1.0, -self.x, self.x * bottom], [0.0, self.y, ground - self.y * bottom]])


def darkened(picture: Floats, taken: Floats) -> Floats:
    """`picture` [..., 3 | 4], colour premultiplied or opaque, with the share `taken` [...] of its light gone."""
    left = np.float32(1) - taken[..., None]
    out = picture.copy()
    out[..., :3] *= left
    return out


def under(foreground: Floats, taken: Floats) -> Floats:
    """Premultiplied `foreground` [..., 4] over its shadow: black, of alpha `taken` [...]."""
    black = np.zeros_like(foreground)
    black[..., 3] = taken
    return layers.over_premultiplied(foreground, black)
