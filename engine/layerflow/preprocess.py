"""Plates into the model's picture, and its picture back into the plate's frame.

Shapes: F frame, H W rows and columns. Model pixels are RGB `[F, 3, H, W]` in [-1, 1], display-referred sRGB.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor

from layerflow.layers import Pixels

FitKind = Literal["pad", "crop"]


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


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How a plate of `width` x `height` (pixel aspect `aspect`) meets a model picture of `columns` x `rows`.

    "pad" shows the model the whole plate and holds its edge pixels outward; "crop" shows it the centre. Going back,
    what the model never saw is the held edge of what it made.
    """

    width: int
    height: int
    columns: int
    rows: int
    kind: FitKind = "pad"
    aspect: float = 1.0

    @property
    def scaled(self) -> tuple[int, int]:
        """(rows, columns) of the whole plate at the model's scale, pixels made square."""
        wide, high = self.columns / (self.width * self.aspect), self.rows / self.height
        scale = min(wide, high) if self.kind == "pad" else max(wide, high)
        return max(1, round(self.height * scale)), max(1, round(self.width * self.aspect * scale))

    @property
    def corner(self) -> tuple[int, int]:
        """(row, column) of the model's picture where the plate's upper left corner lies; negative when cropped away."""
        rows, columns = self.scaled
        return (self.rows - rows) // 2, (self.columns - columns) // 2

    def to_model(self, pixels: Tensor) -> Tensor:  # [F, C, height, width] -> [F, C, rows, columns]
        """The plate as the model sees it."""
        top, left = self.corner
        return framed(resize(pixels, *self.scaled), -top, -left, self.rows, self.columns)

    def to_plate(self, pixels: Tensor) -> Tensor:  # [F, C, rows, columns] -> [F, C, height, width]
        """The model's picture in the plate's frame; the way back from `to_model`."""
        return resize(framed(pixels, *self.corner, *self.scaled), self.height, self.width)

    def seen(self, pixels: Tensor) -> Tensor:  # [F, C, rows, columns] -> [F, C, H, W], at most as large
        """The part of the model's picture that shows the plate, its pixels square."""
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
