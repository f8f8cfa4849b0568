"""The values under the pointer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from layerflow_desktop.models.picture import Half, Scene

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
    raise NotImplementedError
