"""Layers over each other, as the engine lays them: premultiplied, in linear light. Porter and Duff 1984."""

from __future__ import annotations

from layerflow_desktop.models.picture import Floats, Shown

Region = tuple[int, int, int, int]  # x, y, width, height in pixels of the picture


def compose(shown: Shown, height: int, width: int, region: Region | None = None, step: int = 1) -> Floats:
    """Premultiplied RGBA [H, W, 4] of the part `region` of a picture, a pixel for each square of `step` by `step`."""
    raise NotImplementedError
