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

    def to_model(self, pixels: Tensor) -> Tensor:  # [F, C, height, width] -> [F, C, rows, columns]
        """The plate as the model sees it."""
        scaled = resize(pixels, *self.scaled)
        rows, columns = self.scaled
        top, left = (rows - self.rows) // 2, (columns - self.columns) // 2  # negative where there is room to fill
        scaled = scaled[..., max(top, 0) : max(top, 0) + self.rows, max(left, 0) : max(left, 0) + self.columns]
        room = self.columns - scaled.shape[-1], self.rows - scaled.shape[-2]
        before = [max(-left, 0), max(-top, 0)]
        edges = before[0], room[0] - before[0], before[1], room[1] - before[1]
        return nnf.pad(scaled, edges, mode="replicate") if any(edges) else scaled

    def to_plate(self, pixels: Tensor) -> Tensor:  # [F, C, rows, columns] -> [F, C, height, width]
        """The model's picture in the plate's frame; the way back from `to_model`."""
        rows, columns = self.scaled
        top, left = (self.rows - rows) // 2, (self.columns - columns) // 2
        kept = pixels[..., max(top, 0) : max(top, 0) + rows, max(left, 0) : max(left, 0) + columns]
        room = columns - kept.shape[-1], rows - kept.shape[-2]
        before = [max(-left, 0), max(-top, 0)]
        edges = before[0], room[0] - before[0], before[1], room[1] - before[1]
        whole = nnf.pad(kept, edges, mode="replicate") if any(edges) else kept
        return resize(whole, self.height, self.width)


def to_tensor(pixels: Pixels) -> Tensor:  # [F, H, W, C] -> [F, C, H, W]
    """A clip of pixels as a torch tensor, channels first."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(pixels, -1, 1)))


def to_pixels(tensor: Tensor) -> Pixels:  # [F, C, H, W] -> [F, H, W, C]
    """A torch clip as float32 pixels, channels last."""
    return np.ascontiguousarray(tensor.movedim(1, -1).float().numpy())
