"""A closer look at where the foreground is: that part of the plate, made by itself and laid over the rest.

A foreground that is small in the frame is a few pixels of the model's picture, and its matte is as coarse. The first
look tells well enough where it is; the second, at that part alone, shows the model the same foreground much larger.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from layerflow.assemble import Made
from layerflow.layers import Pixels
from layerflow.preprocess import Fit
from layerflow.window import Window

SEEN = 0.5  # alpha from which a pixel says where the foreground is
STRAY = 0.02  # share of the foreground that may lie beyond each side of it: specks elsewhere do not count
MARGIN = 0.25  # around the foreground, of its own width and height
LEAST = 0.25  # the sides of the part, of the plate's
MOST = 0.5  # the area of the part, of the plate's: there is nothing to be gained from more
SOFT = 0.1  # of the sides of the part, over which it fades into the rest


@dataclass(frozen=True, kw_only=True)
class CloseUp:
    """What the model made of a part of the plate."""

    area: Window  # of the part, from the plate's upper left corner
    fit: Fit  # of the part
    made: Made  # as of the whole

    def over(self, whole: Pixels, part: Pixels) -> Pixels:  # [H, W, ...], [h, w, ...]
        """`whole` with `part` laid over it, fading out towards the sides that are not the plate's own."""
        left, top, width, height = self.area
        across, down = _ramp(left, width, whole.shape[1]), _ramp(top, height, whole.shape[0])
        weight = np.minimum(down[:, None], across)[(..., *[None] * (whole.ndim - 2))]
        out = whole.copy()
        place = out[top : top + height, left : left + width]
        place += weight * (part - place)
        return out


def place(matte: Pixels, fit: Fit) -> Window | None:
    """The part of the plate that is worth a closer look, (x, y, width, height) from its upper left corner.

    `matte` [F, rows, columns] is the model's, of a plate that meets it by `fit`. None where nothing is to be seen or
    gained: no foreground, one that fills the frame, or a plate with no more pixels than the model's picture.
    """
    weight = np.where(matte > SEEN, matte, 0.0).sum(axis=0)
    (rows, columns), (row, column) = fit.scaled, fit.corner
    if fit.width * fit.height <= rows * columns or not weight.any():
        return None
    top, height = _span(weight.sum(axis=1), row, fit.height / rows, fit.height)
    left, width = _span(weight.sum(axis=0), column, fit.width / columns, fit.width)
    return None if width * height > MOST * fit.width * fit.height else (left, top, width, height)


def _span(weight: NDArray[np.floating], start: int, scale: float, length: int) -> tuple[int, int]:
    """First pixel and number of pixels, of the `length` that begin at `start` and are `1 / scale` model pixels each."""
    share = np.cumsum(weight) / weight.sum()
    first = (np.searchsorted(share, STRAY) - start) * scale
    last = (np.searchsorted(share, 1 - STRAY) + 1 - start) * scale
    side = min(max((last - first) * (1 + 2 * MARGIN), LEAST * length), length)
    begin = min(max((first + last - side) / 2, 0), length - side)
    return int(begin), int(np.ceil(begin + side)) - int(begin)


def _ramp(start: int, length: int, whole: int) -> NDArray[np.float32]:
    """Weights along one side of a part: 1, falling to 0 at each end that is not the plate's."""
    position = (np.arange(length, dtype=np.float32) + 0.5) / (SOFT * length)
    before = position if start > 0 else np.inf
    after = position[::-1] if start + length < whole else np.inf
    return np.minimum(np.minimum(before, after), np.ones(length, np.float32))
