"""Plates into the model's picture, and its picture back into the plate's frame.

Shapes: F frame, H W rows and columns. Model pixels are RGB `[F, 3, H, W]` in [-1, 1], display-referred sRGB.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor

from layerflow.layers import Pixels

FitKind = Literal["bucket", "pad", "crop"]

MAX_RATIO = 4.0  # of a bucket's sides
AREA_WEIGHT = 0.5  # of a bucket's area against its shape


def to_signed(pixels: Tensor) -> Tensor:
    """[-1, 1] from [0, 1]."""
    return pixels * 2.0 - 1.0


def to_unit(pixels: Tensor) -> Tensor:
    """[0, 1] from [-1, 1]."""
    return (pixels + 1.0) / 2.0


def signed_foreground(rgb: Tensor, alpha: Tensor) -> Tensor:
    """The model's foreground in [-1, 1]: straight colour in [0, 1] over mid-grey, soft alpha kept."""
    return to_signed(rgb) * alpha


def resize(pixels: Tensor, rows: int, columns: int) -> Tensor:  # [F, C, H, W] -> [F, C, rows, columns]
    """Bicubic, antialiased, not clamped: values may overshoot."""
    if pixels.shape[-2:] == (rows, columns):
        return pixels
    return nnf.interpolate(pixels, (rows, columns), mode="bicubic", antialias=True, align_corners=False)


def stretched(pixels: Tensor, rows: int, columns: int) -> Tensor:  # [F, C, H, W] -> [F, C, rows, columns]
    """Bilinear, for enlarging what is smooth already: no value leaves the range of its neighbours."""
    if pixels.shape[-2:] == (rows, columns):
        return pixels
    return nnf.interpolate(pixels, (rows, columns), mode="bilinear", align_corners=False)


def cover_crop(pixels: Tensor, rows: int, columns: int) -> Tensor:  # [F, C, H, W] -> [F, C, rows, columns]
    """Scaled so that it covers the target, then cropped at its centre, as the released data code does."""
    height, width = pixels.shape[-2:]
    if width / height > columns / rows:
        size = rows, int(width * rows / height)
    else:
        size = int(height * columns / width), columns
    scaled = resize(pixels, *size)
    top, left = (size[0] - rows) // 2, (size[1] - columns) // 2
    return scaled[..., top : top + rows, left : left + columns]


@cache
def bucket(ratio: float, *, columns: int, rows: int, step: int) -> tuple[int, int]:
    """Columns and rows of the picture that a model of `columns` x `rows` makes of a plate of `ratio`, width by height.

    Both are multiples of `step`. Of all such pictures it is the one nearest in shape and in area, so a plate of the
    model's own shape gets the model's own picture. Beyond 4:1 shape counts no more: the plate is squeezed.
    """
    ratio = min(max(ratio, 1 / MAX_RATIO), MAX_RATIO)
    area = (columns // step) * (rows // step)
    pairs = ((wide, high) for high in range(1, 2 * area + 1) for wide in _near(ratio * high))

    def miss(pair: tuple[int, int]) -> tuple[float, int]:
        wide, high = pair
        stretch, growth = math.log(wide / high / ratio), math.log(wide * high / area)
        return round(abs(stretch) + AREA_WEIGHT * abs(growth), 6), wide * high  # of two as near, the smaller one

    wide, high = min(pairs, key=miss)
    return wide * step, high * step


def _near(number: float) -> Iterator[int]:
    """The whole numbers next to `number`, from 1 on."""
    return (each for each in (math.floor(number), math.floor(number) + 1) if each >= 1)


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How a plate of `width` x `height` (pixel aspect `aspect`) meets a model picture of `columns` x `rows`.

    "bucket" shows the model the whole plate and nothing else, in a picture of about its shape, as `bucket` has it: what
    is left of the difference is a slight stretch. "pad" holds the plate's edge pixels outward; "crop" shows its centre.
    Going back, what the model never saw is the held edge of what it made.
    """

    width: int
    height: int
    columns: int
    rows: int
    kind: FitKind = "pad"
    aspect: float = 1.0

    @property
    def scaled(self) -> tuple[int, int]:
        """(rows, columns) of the whole plate at the model's scale, pixels made square as far as `kind` does that."""
        if self.kind == "bucket":
            return self.rows, self.columns
        return self._square(min if self.kind == "pad" else max)

    def _square(self, choose: Callable[[float, float], float]) -> tuple[int, int]:
        scale = choose(self.columns / (self.width * self.aspect), self.rows / self.height)
        return max(1, round(self.height * scale)), max(1, round(self.width * self.aspect * scale))

    @property
    def corner(self) -> tuple[int, int]:
        """(row, column) of the model's picture where the plate's upper left corner lies; negative when cropped away."""
        rows, columns = self.scaled
        return (self.rows - rows) // 2, (self.columns - columns) // 2

    @property
    def cell(self) -> float:
        """How many pixels of the plate, side by side, one of the model's is; the mean of both directions."""
        rows, columns = self.scaled
        return math.sqrt(self.width * self.height / (rows * columns))

    def to_model(self, pixels: Tensor) -> Tensor:  # [F, C, height, width] -> [F, C, rows, columns]
        """The plate as the model sees it."""
        top, left = self.corner
        return framed(resize(pixels, *self.scaled), -top, -left, self.rows, self.columns)

    def to_plate(self, pixels: Tensor, *, share: int = 1) -> Tensor:  # [F, C, rows, columns] -> [F, C, height, width]
        """The model's picture in the plate's frame; the way back from `to_model`. At one `share`th of its size."""
        height, width = -(-self.height // share), -(-self.width // share)
        return resize(framed(pixels, *self.corner, *self.scaled), height, width)

    def seen(self, pixels: Tensor) -> Tensor:  # [F, C, rows, columns] -> [F, C, H, W], at most as large
        """The part of the model's picture, in [0, 1], that shows the plate, its pixels square."""
        if self.kind == "bucket":
            return resize(pixels, *self._square(min)).clamp(0.0, 1.0)
        (top, left), (rows, columns) = self.corner, self.scaled
        return pixels[..., max(top, 0) : top + rows, max(left, 0) : left + columns]


def framed(
    pixels: Tensor, top: int, left: int, rows: int, columns: int
) -> Tensor:  # [F, C, H, W] -> [..., rows, columns]
    """`pixels` through a window whose corner is at (top, left), their edges held where it looks past them."""
    inside = pixels[..., max(top, 0) : top + rows, max(left, 0) : left + columns]
    before = max(-left, 0), max(-top, 0)
    after = columns - inside.shape[-1] - before[0], rows - inside.shape[-2] - before[1]
    edges = before[0], after[0], before[1], after[1]
    return nnf.pad(inside, edges, mode="replicate") if any(edges) else inside


def to_tensor(pixels: Pixels) -> Tensor:  # [F, H, W, C] -> [F, C, H, W]
    """A clip of pixels as a torch tensor, channels first."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(pixels, -1, 1)))


def to_pixels(tensor: Tensor) -> Pixels:  # [F, C, H, W] -> [F, H, W, C]
    """A torch clip as float32 pixels, channels last."""
    return np.ascontiguousarray(tensor.movedim(1, -1).float().numpy())
