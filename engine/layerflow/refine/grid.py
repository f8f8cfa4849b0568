"""Small pictures that stand for large ones: one number for every few pixels of a plate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from layerflow.layers import Pixels

STRIP = 64  # rows of a plate at a time, so that scratch stays small beside the plate


def grid_of(pixels: Pixels, scale: float) -> tuple[int, int]:
    """(rows, columns) of `pixels` [H, W, ...] at `scale`: at least 1, and never more than it has."""
    height, width = pixels.shape[:2]
    return max(1, min(height, round(height * scale))), max(1, min(width, round(width * scale)))


def shrunk(pixels: Pixels, grid: tuple[int, int]) -> Pixels:
    """The means of `pixels` [H, W, ...] over the cells of `grid`."""
    if grid == pixels.shape[:2]:
        return pixels
    small = cv2.resize(pixels, grid[::-1], interpolation=cv2.INTER_AREA)
    return _floats(small, (*grid, *pixels.shape[2:]))


def enlarged(small: Pixels, shape: tuple[int, ...]) -> Pixels:
    """`small` [h, w, ...] at `shape` (H, W, ...), linear between the centres of its cells."""
    full = cv2.resize(small, shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return _floats(full, (*shape[:2], *small.shape[2:]))


def strips(small: Pixels, shape: tuple[int, ...]) -> Iterator[tuple[slice, Pixels]]:
    """The rows of `small` [h, w, C] enlarged to `shape` (H, W, ...), a strip at a time."""
    height, width = shape[:2]
    for start in range(0, height, STRIP):
        rows = slice(start, min(start + STRIP, height))
        place = (np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5) * (len(small) / height) - 0.5
        place = place.clip(0, len(small) - 1)
        above = place.astype(np.intp)
        share = (place - above).astype(np.float32)[:, None, None]
        between = small[above] * (1 - share) + small[np.minimum(above + 1, len(small) - 1)] * share
        yield rows, enlarged(between, (len(between), width))


def smoothed(pixels: Pixels) -> Pixels:
    """The mean of each of `pixels` [h, w, ...] and its eight neighbours."""
    return _floats(cv2.blur(pixels, (3, 3), borderType=cv2.BORDER_REFLECT), pixels.shape)


def filtered(pixels: Pixels, taps: tuple[float, ...]) -> Pixels:
    """`pixels` [h, w, ...] weighted by `taps`, in both directions."""
    kernel = np.array(taps, np.float32)
    return _floats(cv2.sepFilter2D(pixels, -1, kernel, kernel, borderType=cv2.BORDER_REFLECT), pixels.shape)


def extremes(pixels: Pixels) -> tuple[Pixels, Pixels]:
    """The least and the greatest of `pixels` [h, w] and their eight neighbours."""
    window = np.ones((3, 3), np.uint8)
    return _floats(cv2.erode(pixels, window), pixels.shape), _floats(cv2.dilate(pixels, window), pixels.shape)


def _floats(pixels: NDArray[Any], shape: tuple[int, ...]) -> Pixels:
    """`pixels` as OpenCV gives them, which leaves out a last axis of one: as they are."""
    return np.asarray(pixels, np.float32).reshape(shape)
