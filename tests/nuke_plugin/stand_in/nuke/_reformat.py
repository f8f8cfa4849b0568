"""Reformat: a picture in another size. Pixels are interpolated linearly, where Nuke has filters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nuke._picture import Picture, Plane, empty, moved


def reformatted(node: Any, above: Callable[[int], Picture | None]) -> Picture:
    """The first input in the size that the node asks for."""
    picture = above(0) or empty()
    width, height = _wanted(node, picture)
    across, down = _scales(str(node["resize"].value()), picture, width, height)
    size = round(picture.width * across), round(picture.height * down)
    is_centered = bool(node["center"].value())
    left = (width - size[0]) // 2 if is_centered else 0
    top = (height - size[1]) // 2 if is_centered else height - size[1]
    planes = {n: moved(resized(plane, *size), width, height, left, top) for n, plane in picture.channels.items()}
    return Picture(width, height, planes, picture.metadata)


def _wanted(node: Any, picture: Picture) -> tuple[int, int]:
    kind = node["type"].value()
    if kind == "scale":
        scale = float(node["scale"].value())
        return round(picture.width * scale), round(picture.height * scale)
    if kind == "to box":
        width, height = int(node["box_width"].value()), int(node["box_height"].value())
        return (width, height) if node["box_fixed"].value() else (width, round(picture.height * width / picture.width))
    size = node["format"].value()
    return size.width(), size.height()


def _scales(resize: str, picture: Picture, width: int, height: int) -> tuple[float, float]:
    across, down = width / picture.width, height / picture.height
    both = {"none": 1.0, "width": across, "height": down, "fit": min(across, down), "fill": max(across, down)}
    return (across, down) if resize == "distort" else (both[resize], both[resize])


def resized(plane: Plane, width: int, height: int) -> Plane:
    """A plane in another size, pixel centres as OpenImageIO and Nuke place them."""
    if plane.shape == (height, width):
        return plane
    rows, columns = _places(plane.shape[0], height), _places(plane.shape[1], width)
    along = _between(plane, *rows, axis=0)
    return _between(along, *columns, axis=1).astype(np.float32)


def _places(before: int, after: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    at = np.clip((np.arange(after) + 0.5) * before / after - 0.5, 0, before - 1)
    low = np.floor(at).astype(int)
    return low, np.minimum(low + 1, before - 1), (at - low).astype(np.float32)


def _between(plane: Plane, low: np.ndarray, high: np.ndarray, share: np.ndarray, axis: int) -> Plane:
    share = share[:, None] if axis == 0 else share[None, :]
    return np.take(plane, low, axis) * (1 - share) + np.take(plane, high, axis) * share
