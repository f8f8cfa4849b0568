"""What things hide, from frames in which it is seen, moved as the camera moved; painted over where it never is."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from layerflow.data.camera import GRID, Matrix, flow, greys, homography, shrunk
from layerflow.data.light import Floats, Pixels
from layerflow.data.pictures import one_thread
from layerflow.data.segmenting import Masks


@dataclass(frozen=True, kw_only=True)
class TemporalInpainter:
    """Fills holes with the nearest frames in time that show what is behind, and with their surroundings otherwise.

    The second part is Telea's fast marching (2004): smooth, without detail. A frame takes it over from the frame beside
    it, so that it does not flicker.
    """

    side: int = 428  # pixels of the longer side that movement is found at
    reach: int = 16  # frames to look back and ahead
    seen: int = 3  # frames whose median a pixel is
    radius: float = 5.0  # pixels that Telea's method looks around
    depth: float = 10.0  # pixels from a hole's edge to its middle, where that method is still good

    def filled(self, frames: Pixels, holes: Masks) -> Pixels:
        """`frames` [F, H, W, 3] with other pixels in `holes` [F, H, W], and unchanged outside of them."""
        with one_thread():
            small = shrunk(frames, self.side)
            grey = greys(small)
            tight = [_shrunk_mask(hole, small.shape[1:3]) for hole in holes]
            out, open_holes = frames.copy(), holes.copy()
            for time in range(len(frames)):
                out[time], open_holes[time] = self._from_others(frames, holes, grey, tight, time)
            for time in _outward(open_holes):
                out[time] = self._painted(out, open_holes, grey, tight, time)
                open_holes[time] = False
        return out

    def _from_others(
        self, frames: Pixels, holes: Masks, grey: list[Pixels], tight: list[Masks], time: int
    ) -> tuple[Pixels, Masks]:
        """Frame `time` with what other frames show of its hole, and what of that is still open."""
        values: list[Floats] = []
        count = np.zeros(holes[time].shape, np.int32)
        for other in _nearest(time, len(frames), self.reach):
            wanted = holes[time] & (count < self.seen)
            if not wanted.any():
                break
            matrix = _movement(grey, tight, time, other, frames.shape[1:3])
            if matrix is None:
                continue
            moved, shown = _moved(frames[other], ~holes[other], matrix)
            shown &= wanted
            inside = shown[holes[time]][:, None]
            values.append(np.where(inside, moved[holes[time]], np.float32(np.nan)))
            count += shown
        result = frames[time].copy()
        known = holes[time] & (count > 0)
        if known.any():
            there = known[holes[time]]
            stacked = np.stack([value[there] for value in values])
            result[known] = np.rint(np.nanmedian(stacked, axis=0)).astype(np.uint8)
        return result, holes[time] & (count == 0)

    def _painted(self, frames: Pixels, open_holes: Masks, grey: list[Pixels], tight: list[Masks], time: int) -> Pixels:
        """Frame `time` with the rest of its hole from a frame beside it that is whole, and from its surroundings."""
        result: Pixels = frames[time].copy()
        hole: Masks = open_holes[time].copy()
        for other in _nearest(time, len(frames), 1):
            matrix = None if open_holes[other].any() else _movement(grey, tight, time, other, frames.shape[1:3])
            if matrix is not None and hole.any():
                moved, shown = _moved(frames[other], np.ones_like(hole), matrix)
                result[hole & shown] = moved[hole & shown]
                hole &= ~shown
        if not hole.any():
            return result
        result[hole] = self._from_around(result, hole)[hole]
        return result

    def _from_around(self, picture: Pixels, hole: Masks) -> Pixels:
        """`picture` painted over in `hole`, at a size where the hole is narrow: far from its edge Telea draws rays."""
        height, width = hole.shape
        depth = float(cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 3).max())
        scale = min(1.0, self.depth / depth)
        size = max(8, round(width * scale)), max(8, round(height * scale))
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        tight = _shrunk_mask(hole, (size[1], size[0])).astype(np.uint8)
        painted = cv2.inpaint(small, tight, self.radius, cv2.INPAINT_TELEA)
        return np.asarray(cv2.resize(painted, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _nearest(time: int, num_frames: int, reach: int) -> list[int]:
    return sorted(
        (other for other in range(max(0, time - reach), min(num_frames, time + reach + 1)) if other != time),
        key=lambda other: (abs(other - time), other),
    )


def _outward(open_holes: Masks) -> list[int]:
    """All frames, from the one with the least to paint outward."""
    start = int(np.argmin(open_holes.sum(axis=(1, 2))))
    return sorted(range(len(open_holes)), key=lambda time: (abs(time - start), time))


def _movement(grey: list[Pixels], tight: list[Masks], time: int, other: int, size: tuple[int, int]) -> Matrix | None:
    """The homography from frame `other` to frame `time` at full `size`, by what lies around the hole."""
    moved = flow(grey[time], grey[other])
    height, width = moved.shape[:2]
    y, x = np.mgrid[GRID // 2 : height : GRID, GRID // 2 : width : GRID]
    start = np.stack([x, y], axis=-1).reshape(-1, 2).astype(np.float32)
    end = start + moved[y, x].reshape(-1, 2)
    landed = np.rint(end).astype(int)
    inside = ((landed >= 0) & (landed < [width, height])).all(axis=-1)
    free = inside & ~tight[time][y, x].reshape(-1)
    free[free] &= ~tight[other][landed[free, 1], landed[free, 0]]
    near = free & _around(tight[time], start)
    chosen = near if near.sum() >= 24 else free
    found = homography(end[chosen], start[chosen])
    if found is None:
        return None
    scale = np.diag([size[1] / width, size[0] / height, 1.0])
    return np.asarray(scale @ found @ np.linalg.inv(scale))


def _around(hole: Masks, points: Floats) -> Masks:
    """Which `points` [N, 2] lie in the box of `hole` grown by half: the plane behind a thing is best seen beside it."""
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    if not rows.size:
        return np.ones(len(points), bool)
    low, high = np.array([columns[0], rows[0]]), np.array([columns[-1], rows[-1]])
    grown = (high - low) * 0.5 + 2 * GRID
    return np.asarray(((points >= low - grown) & (points <= high + grown)).all(axis=-1))


def _moved(picture: Pixels, shown: Masks, matrix: Matrix) -> tuple[Pixels, Masks]:
    size = picture.shape[1], picture.shape[0]
    moved = cv2.warpPerspective(picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    weight = cv2.warpPerspective(shown.astype(np.float32), matrix, size, flags=cv2.INTER_LINEAR)
    return np.asarray(moved, np.uint8), weight > 0.99


def _shrunk_mask(mask: Masks, size: tuple[int, int]) -> Masks:
    small = cv2.resize(mask.astype(np.float32), (size[1], size[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(small > 0)
