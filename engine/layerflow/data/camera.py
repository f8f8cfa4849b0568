"""Movement in the picture: dense optical flow, and the planes that move as the camera makes them.

Flow [H, W, 2] says for each pixel of one frame how far right and down it is in another. A camera that turns, or passes
a plane, moves pictures by a homography (Hartley and Zisserman 2004, section 8.4).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from layerflow.data.light import Floats, Pixels
from layerflow.data.pictures import fitting

GRID = 8  # pixels between the vectors that planes are fitted to
MAX_PLANES = 3
TOLERANCE = 1.0  # pixels
MIN_SHARE = 0.04  # of the vectors, for a further plane to be looked for
MIN_BORDER = 0.1  # of the border, that a further plane touches: things stand in the picture, ground and rocks run out

Matrix = NDArray[np.float64]


def shrunk(frames: Pixels, side: int) -> Pixels:
    """`frames` [F, H, W, 3] with no side above `side`, by area."""
    height, width = fitting(frames.shape[1], frames.shape[2], side)
    return np.stack([cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames])


def greys(frames: Pixels) -> list[Pixels]:
    """Luma of each frame, for `flow`."""
    return [np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8) for frame in frames]


def flow(one: Pixels, other: Pixels) -> Floats:
    """Where each pixel of `one` is in `other`, both [H, W] grey. Dense inverse search, Kroeger et al. 2016."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(search.calc(one, other, np.zeros((*one.shape, 2), np.float32)), np.float32)


def carried(picture: Floats, moved: Floats) -> Floats:
    """`picture` [H, W] of the other frame as this one sees it, by its `flow` to the other."""
    y, x = np.mgrid[: moved.shape[0], : moved.shape[1]].astype(np.float32)
    return np.asarray(
        cv2.remap(picture, x + moved[..., 0], y + moved[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
        np.float32,
    )


def own_movement(moved: Floats) -> Floats:
    """How far each pixel [H, W] moves by itself: the distance of its `flow` from the nearest plane of the background.

    The first plane is what most vectors agree on. Others are taken for background too where they run out of the
    picture, such as rocks near the camera that pass by faster than the hills behind them.
    """
    height, width = moved.shape[:2]
    start, end, border = _vectors(moved)
    left = np.ones(len(start), bool)
    nearest = np.full((height, width), np.inf, np.float32)
    for number in range(MAX_PLANES):
        if number and left.sum() < max(12, MIN_SHARE * len(start)):
            break
        plane = homography(start[left], end[left])
        if plane is None:
            break
        fits = np.linalg.norm(end - _mapped(start, plane), axis=-1) < 1.5 * TOLERANCE
        if number and (fits & left & border).sum() < MIN_BORDER * border.sum():
            break
        nearest = np.minimum(nearest, _distance(moved, plane))
        left &= ~fits
    return nearest if np.isfinite(nearest).all() else np.zeros_like(nearest)


def homography(start: Floats, end: Floats) -> Matrix | None:
    """The homography that takes most of the points `start` [N, 2] to `end`, by RANSAC; None when there is none."""
    if len(start) < 4:
        return None
    cv2.setRNGSeed(0)  # the same answer in every run
    found, _ = cv2.findHomography(start, end, cv2.RANSAC, TOLERANCE, maxIters=2000)
    return None if found is None else np.asarray(found, np.float64)


def _vectors(moved: Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Points of a grid, where they go, and which stand at the border."""
    height, width = moved.shape[:2]
    y, x = np.mgrid[GRID // 2 : height : GRID, GRID // 2 : width : GRID]
    start = np.stack([x, y], axis=-1).astype(np.float32)
    border = np.zeros(x.shape, bool)
    border[[0, -1]] = border[:, [0, -1]] = True
    return start.reshape(-1, 2), (start + moved[y, x]).reshape(-1, 2), border.reshape(-1)


def _mapped(points: Floats, plane: Matrix) -> Floats:
    return np.asarray(cv2.perspectiveTransform(points[:, None], plane)[:, 0], np.float32)


def _distance(moved: Floats, plane: Matrix) -> Floats:
    y, x = np.mgrid[: moved.shape[0], : moved.shape[1]]
    start = np.stack([x, y], axis=-1).reshape(-1, 2).astype(np.float32)
    by_camera = (_mapped(start, plane) - start).reshape(moved.shape)
    return np.asarray(np.linalg.norm(moved - by_camera, axis=-1), np.float32)
