"""Pixels between data window and display window. A window is (x, y, width, height) in pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from layerflow.errors import PlateError

MAX_SIDE = 16384
MAX_PIXELS = 1 << 27  # 134 million, a little more than 16K by 8K

Window = tuple[int, int, int, int]


def check_area(width: int, height: int, name: str) -> None:
    """Raises PlateError when a picture of this size must not be allocated. A header may say anything."""
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE and width * height <= MAX_PIXELS):
        raise PlateError(
            f"{name} says it is {width}x{height} pixels; at most {MAX_SIDE} a side and "
            f"{MAX_PIXELS // 1_000_000} million in all are read, scale it down"
        )


def intersect(a: Window, b: Window) -> Window | None:
    """What two windows share, or None."""
    left, top = max(a[0], b[0]), max(a[1], b[1])
    right, bottom = min(a[0] + a[2], b[0] + b[2]), min(a[1] + a[3], b[1] + b[3])
    return (left, top, right - left, bottom - top) if right > left and bottom > top else None


def union(a: Window, b: Window) -> Window:
    """The smallest window that holds two others."""
    left, top = min(a[0], b[0]), min(a[1], b[1])
    right, bottom = max(a[0] + a[2], b[0] + b[2]), max(a[1] + a[3], b[1] + b[3])
    return left, top, right - left, bottom - top


def reframe(pixels: NDArray[np.float32], source: Window, target: Window) -> NDArray[np.float32]:
    """`pixels` [H, W, C] that fill `source`, seen through `target`: cropped where larger, zero elsewhere."""
    if source == target:
        return pixels
    out = np.zeros((target[3], target[2], pixels.shape[-1]), pixels.dtype)
    shared = intersect(source, target)
    if shared is not None:
        out[_slices(shared, target)] = pixels[_slices(shared, source)]
    return out


def _slices(part: Window, whole: Window) -> tuple[slice, slice]:
    top, left = part[1] - whole[1], part[0] - whole[0]
    return slice(top, top + part[3]), slice(left, left + part[2])
