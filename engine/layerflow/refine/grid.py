"""Small pictures that stand for large ones: one number for every few pixels of a plate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from layerflow.layers import Pixels

PATCH = 128  # pixels square at a time, so that scratch is small and what is certain is passed over


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


def enlarged(small: Pixels, shape: tuple[int, ...], *, cubic: bool = False) -> Pixels:
    """`small` [h, w, ...] at `shape` (H, W, ...), linear between the centres of its cells, or bicubic."""
    full = cv2.resize(small, shape[1::-1], interpolation=cv2.INTER_CUBIC if cubic else cv2.INTER_LINEAR)
    return _floats(full, (*shape[:2], *small.shape[2:]))


def spread(sums: Pixels, weight: Pixels, doubt: float, *, fading: bool = False) -> Pixels:
    """The mean of `sums` [h, w, C] over `weight` [h, w], from ever further away where there is less weight.

    A pyramid, push-pull (Gortler et al. 1996); `doubt` is the weight at a point that counts as much as all that is
    further away. `fading`, what comes from far away is the less the less alike two points are at that distance, down to
    0 where they have nothing in common: simple kriging (Matheron 1963) with the covariances that are seen.
    """
    height, width = weight.shape
    if max(height, width) == 1:
        return _floats(sums / np.maximum(weight, 1e-6)[..., None], sums.shape)
    half = (height + 1) // 2, (width + 1) // 2
    fewer = shrunk(sums, half), shrunk(weight, half)
    far = enlarged(spread(*fewer, doubt, fading=fading), sums.shape)
    if fading:
        far *= _lasting(_alike(sums, weight), _alike(*fewer))
    return _floats((sums + doubt * far) / (weight + doubt)[..., None], sums.shape)


def _lasting(near: float | None, away: float | None) -> float:
    """What is left of a covariance at twice the distance, 0 to 1; all of it where one of the two is not known."""
    if near is None or away is None:
        return 1.0
    return min(1.0, max(0.0, away) / near) if near > 0 else 0.0


def _alike(sums: Pixels, weight: Pixels) -> float | None:
    """The mean product of points side by side, in which noise of their own has no part; None where there are none."""
    product = count = 0.0
    for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        product += float(np.sum(sums[one] * sums[other], dtype=np.float64))
        count += float(np.sum(weight[one] * weight[other], dtype=np.float64))
    return product / count if count > 0 else None


def patches(
    small: Pixels, where: NDArray[np.bool_], shape: tuple[int, ...]
) -> Iterator[tuple[tuple[slice, slice], Pixels]]:
    """The parts of `small` [h, w, C] enlarged to `shape` (H, W, ...), as `enlarged` does it, that `where` reaches."""
    every = [_places(length, num_points) for length, num_points in zip(shape[:2], where.shape, strict=True)]
    for rows, above, down in every[0]:
        for columns, left, right in every[1]:
            corner = slice(above[0], above[-1] + 2), slice(left[0], left[-1] + 2)
            if where[corner].any():
                between = _lerp(small[:, corner[1]], above, down).swapaxes(0, 1)
                yield (rows, columns), _lerp(between, left - left[0], right).swapaxes(0, 1)


def _places(length: int, num_points: int) -> list[tuple[slice, NDArray[np.intp], Pixels]]:
    """For each run of `length` pixels: the run, the point before each of its pixels, and the way to the next."""
    place = ((np.arange(length) + 0.5) * (num_points / length) - 0.5).clip(0, num_points - 1)
    before = place.astype(np.intp)
    share = (place - before).astype(np.float32)
    runs = (slice(start, min(start + PATCH, length)) for start in range(0, length, PATCH))
    return [(run, before[run], share[run]) for run in runs]


def _lerp(points: Pixels, before: NDArray[np.intp], share: Pixels) -> Pixels:
    after = np.minimum(before + 1, len(points) - 1)
    mixed: Pixels = points[before] + (points[after] - points[before]) * share[:, None, None]
    return mixed


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
