"""A scene as the pixels of the screen, without a GPU."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from layerflow_desktop.models.compositing import Region, compose
from layerflow_desktop.models.display import Bytes, ViewTransform, difference, look_pixels
from layerflow_desktop.models.document import ViewSettings
from layerflow_desktop.models.framing import Framing, wipe_line
from layerflow_desktop.models.picture import Floats, Scene, Shown

BAND_ROWS = 64  # of the screen

Indices = NDArray[np.intp]
SideBySide = Callable[[Callable[[int], None], Iterable[int]], Iterable[None]]  # `map`, or that of some threads


def draw(
    scene: Scene,
    settings: ViewSettings,
    framing: Framing,
    transform: ViewTransform,
    is_smooth: bool = False,
    side_by_side: SideBySide = map,
) -> Bytes:
    """The part of the view that the picture covers, [H, W, 3]; see `Framing.shown` for where it is.

    A reduced picture shows the mean of what falls on a pixel of the screen if `is_smooth`, else of a part of that.
    Bands of it are drawn `side_by_side`.
    """
    left, top, right, bottom = framing.shown()
    if right <= left or bottom <= top:
        return np.zeros((0, 0, 3), np.uint8)
    out = np.empty((bottom - top, right - left, 3), np.uint8)

    def band(first: int) -> None:
        last = min(first + BAND_ROWS, bottom)
        out[first - top : last - top] = _part(
            scene, settings, framing, transform, is_smooth, (left, first, right, last)
        )

    deque(side_by_side(band, range(top, bottom, BAND_ROWS)), maxlen=0)
    return out


def _part(
    scene: Scene,
    settings: ViewSettings,
    framing: Framing,
    transform: ViewTransform,
    is_smooth: bool,
    part: tuple[int, int, int, int],
) -> Bytes:
    left, top, right, bottom = part
    origin = (left - framing.left, top - framing.top)
    columns = _edges(right - left, origin[0], framing.scale_x, scene.width)
    rows = _edges(bottom - top, origin[1], framing.scale_y, scene.height)
    pixels = _compared(scene, settings, columns, rows, 1 if is_smooth else framing.step, is_smooth)
    return look_pixels(pixels, settings, transform, origin)


def _edges(count: int, first: int, scale: float, size: int) -> NDArray[np.float64]:
    """The points of the picture, along one axis, between which each of `count` pixels of the screen lies."""
    return np.clip((first + np.arange(count + 1)) / scale, 0, size)


def _compared(
    scene: Scene, settings: ViewSettings, columns: NDArray[np.float64], rows: NDArray[np.float64], step: int, mean: bool
) -> Floats:
    """Both sides as they are compared, a pixel for each of the screen."""
    a = _side(scene.a, scene, columns, rows, step, mean)
    if scene.b is None or settings.compare == "off":
        return a
    b = _side(scene.b, scene, columns, rows, step, mean)
    if settings.compare == "difference":
        return difference(a, b)
    nx, ny, distance = wipe_line(scene.width, scene.height, settings.wipe, settings.wipe_angle)
    across, down = (columns[:-1] + columns[1:]) / 2, (rows[:-1] + rows[1:]) / 2
    return np.where((nx * across + ny * down[:, None] < distance)[..., None], a, b)


def _side(
    shown: Shown, scene: Scene, columns: NDArray[np.float64], rows: NDArray[np.float64], step: int, mean: bool
) -> Floats:
    left, right = _around(columns, scene.width, step)
    top, bottom = _around(rows, scene.height, step)
    region: Region = (left, top, right - left, bottom - top)
    pixels = compose(shown, scene.height, scene.width, region, step)
    if mean:
        return _means(pixels, columns - left, rows - top)
    return _nearest(pixels, (_middles(columns) - left) // step, (_middles(rows) - top) // step)


def _around(edges: NDArray[np.float64], size: int, step: int) -> tuple[int, int]:
    """First and end of the whole pixels under `edges`; the first on a multiple of `step`."""
    return int(edges[0]) // step * step, min(size, int(np.ceil(edges[-1])))


def _middles(edges: NDArray[np.float64]) -> Indices:
    return ((edges[:-1] + edges[1:]) / 2).astype(np.intp)


def _nearest(pixels: Floats, columns: Indices, rows: Indices) -> Floats:
    columns, rows = np.minimum(columns, pixels.shape[1] - 1), np.minimum(rows, pixels.shape[0] - 1)
    if _is_whole(columns, pixels.shape[1]) and _is_whole(rows, pixels.shape[0]):
        return pixels
    return pixels[rows[:, None], columns]


def _is_whole(indices: Indices, size: int) -> bool:
    return len(indices) == size and bool((np.diff(indices) == 1).all())


def _means(pixels: Floats, columns: NDArray[np.float64], rows: NDArray[np.float64]) -> Floats:
    """The mean of what lies under each pixel of the screen, rounded to whole pixels of the picture."""
    return _mean_along(_mean_along(pixels, rows, 0), columns, 1)


def _mean_along(pixels: Floats, edges: NDArray[np.float64], axis: int) -> Floats:
    size = pixels.shape[axis]
    starts = np.minimum(np.round(edges[:-1]).astype(np.intp), size - 1)
    ends = np.append(starts[1:], size)
    counts = np.maximum(ends - starts, 1)  # reduceat gives the one pixel where a start is its own end
    shape = (-1, 1, 1) if axis == 0 else (1, -1, 1)
    sums: Floats = np.add.reduceat(pixels, starts, axis=axis)
    sums /= counts.reshape(shape).astype(np.float32)
    return sums
