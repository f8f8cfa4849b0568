"""How a layer moves over a clip: paths of place, size and turn, and pictures placed along them.

Time runs from 0 at the first frame to 1 at the last. Places are pixels from the canvas centre, x right, y down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from layerflow.data.light import Floats
from layerflow.data.pictures import scaled

Movement = Literal["still", "drift", "ease", "bounce"]
MOVEMENTS: tuple[Movement, ...] = get_args(Movement)
MAX_SAMPLES = 16  # pictures that one blurred frame is the mean of

Matrix = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Pose:
    """A layer at one moment. `lift` is how far it is above the ground, in pixels."""

    x: float
    y: float
    scale: float
    turn: float  # radians, clockwise
    lift: float = 0.0

    def matrix(self, source: tuple[int, int], canvas: tuple[int, int], *, mirrored: bool) -> Matrix:
        """The map [2, 3] from pixels of a source of (height, width) to those of a canvas, pixel centres at integers."""
        cos, sin = math.cos(self.turn) * self.scale, math.sin(self.turn) * self.scale
        flip = -1.0 if mirrored else 1.0
        right, down = (source[1] - 1) / 2, (source[0] - 1) / 2
        x, y = (canvas[1] - 1) / 2 + self.x, (canvas[0] - 1) / 2 + self.y - self.lift
        return np.array(
            [
                [cos * flip, -sin, x - cos * flip * right + sin * down],
                [sin * flip, cos, y - sin * flip * right - cos * down],
            ]
        )


@dataclass(frozen=True, kw_only=True)
class Path:
    """The poses between a start and an end.

    `drift` goes evenly, `ease` starts and ends at rest, `bounce` drifts in `hops` parabolic hops of `height` pixels.
    """

    movement: Movement
    start: Pose
    end: Pose
    hops: int = 0
    height: float = 0.0

    def at(self, time: float) -> Pose:
        """The pose at `time`. Outside of [0, 1] movement goes on as at the ends."""
        if self.movement == "still":
            return self.start
        share = _eased(time) if self.movement == "ease" else time
        lift = 0.0
        if self.movement == "bounce":
            hop = (time * self.hops) % 1.0
            lift = 4.0 * hop * (1.0 - hop) * self.height
        return Pose(
            x=_between(self.start.x, self.end.x, share),
            y=_between(self.start.y, self.end.y, share),
            scale=_between(self.start.scale, self.end.scale, share),
            turn=_between(self.start.turn, self.end.turn, share),
            lift=lift,
        )

    def frozen(self) -> Path:
        """This path standing at its start."""
        return replace(self, movement="still")

    @property
    def largest(self) -> float:
        """The largest scale on the way."""
        return max(self.start.scale, self.end.scale)


def placed(
    source: Floats,
    path: Path,
    frame: int,
    num_frames: int,
    canvas: tuple[int, int],
    *,
    mirrored: bool = False,
    shutter: float = 0.0,
    filled: bool = False,
) -> Floats:
    """`source` [h, w, C], premultiplied, on a canvas (height, width) as frame `frame` of a clip sees it.

    `shutter` is the share of a frame that it is open for, around the frame's moment: the mean of the poses in that time
    is its motion blur. Around the source is 0, or with `filled` its mirror image.
    """
    step = 1.0 / max(1, num_frames - 1)
    time, span = frame * step, shutter * step
    ends = [path.at(time - span / 2), path.at(time + span / 2)]
    shape = source.shape[:2]
    count = _num_samples([pose.matrix(shape, canvas, mirrored=mirrored) for pose in ends], shape) if span else 1
    moments = time + span * ((np.arange(count) + 0.5) / count - 0.5)
    total = np.zeros((*canvas, source.shape[-1]), np.float32)
    for moment in moments:
        matrix = path.at(float(moment)).matrix(shape, canvas, mirrored=mirrored)
        total += _warped(source, matrix, canvas, filled=filled)
    mean: Floats = total / np.float32(count)
    return mean


def sized(source: Floats, height: float, path: Path) -> tuple[Floats, Path]:
    """`source` averaged down to `height` pixels times the path's largest scale, and the path that goes with it.

    So that what is sampled later never skips pixels of the source.
    """
    wanted = height * path.largest
    factor = wanted / source.shape[0]
    smaller = source
    if factor < 1:
        smaller = scaled(source, max(1, round(wanted)), max(1, round(source.shape[1] * factor)))
    rest = height / smaller.shape[0]
    return smaller, replace(
        path,
        start=replace(path.start, scale=path.start.scale * rest),
        end=replace(path.end, scale=path.end.scale * rest),
    )


def _warped(source: Floats, matrix: Matrix, canvas: tuple[int, int], *, filled: bool) -> Floats:
    border = cv2.BORDER_REFLECT_101 if filled else cv2.BORDER_CONSTANT
    size = canvas[1], canvas[0]
    warped = cv2.warpAffine(source, matrix, size, flags=cv2.INTER_LINEAR, borderMode=border, borderValue=(0, 0, 0, 0))
    return np.asarray(warped, np.float32).reshape(*canvas, source.shape[-1])


def _num_samples(ends: list[Matrix], shape: tuple[int, int]) -> int:
    """As many as the farthest corner moves pixels, at most MAX_SAMPLES."""
    height, width = shape
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]], np.float64).T
    way = np.linalg.norm(ends[1] @ corners - ends[0] @ corners, axis=0).max()
    return int(np.clip(np.ceil(way), 1, MAX_SAMPLES))


def _eased(time: float) -> float:
    clipped = min(max(time, 0.0), 1.0)
    return clipped * clipped * (3.0 - 2.0 * clipped)


def _between(start: float, end: float, share: float) -> float:
    return start + (end - start) * share
