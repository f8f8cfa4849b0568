"""The values under the pointer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from layerflow_desktop.models.compositing import compose, straight
from layerflow_desktop.models.picture import Floats, Half, Scene, Shown

Rgba = tuple[float, float, float, float]


@dataclass(frozen=True)
class Values:
    """What is at a pixel. Straight, scene-linear."""

    x: int
    y: int
    frame: int
    colorspace: str
    comp: Rgba  # of the scene's `a`
    other: Rgba | None = None  # of its `b`
    layers: Mapping[str, Rgba] = field(default_factory=dict)  # by name, as the files have them: not moved, not faded


def values_at(picture_layers: Mapping[str, Half], scene: Scene, x: int, y: int) -> Values | None:
    """The values at column `x` and row `y`; None outside of the picture."""
    if not (0 <= x < scene.width and 0 <= y < scene.height):
        return None
    return Values(
        x=x,
        y=y,
        frame=scene.frame,
        colorspace=scene.colorspace,
        comp=_of_side(scene.a, scene, x, y),
        other=None if scene.b is None else _of_side(scene.b, scene, x, y),
        layers={
            name: _rgba(pixels[y, x].astype(np.float32))
            for name, pixels in picture_layers.items()
            if y < pixels.shape[0] and x < pixels.shape[1]
        },
    )


def _of_side(shown: Shown, scene: Scene, x: int, y: int) -> Rgba:
    return _rgba(straight(compose(shown, scene.height, scene.width, (x, y, 1, 1)))[0, 0])


def _rgba(values: Floats) -> Rgba:
    red, green, blue, *alpha = values.tolist()
    return red, green, blue, alpha[0] if alpha else 1.0
