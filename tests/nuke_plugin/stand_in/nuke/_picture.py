"""A picture: channels of one size, the top row first, and what it says about itself."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

Plane = np.ndarray  # [H, W] float32


@dataclass(frozen=True)
class Picture:
    """What a node gives."""

    width: int
    height: int
    channels: dict[str, Plane] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)

    def plane(self, channel: str) -> Plane:
        """A channel; black where there is none, `white` and `black` by name."""
        found = self.channels.get(channel)
        if found is not None:
            return found
        return np.full((self.height, self.width), float(channel == "white"), np.float32)

    def with_channels(self, more: dict[str, Plane]) -> Picture:
        """The same with these channels too."""
        return replace(self, channels={**self.channels, **more})

    def only(self, kept: Any) -> Picture:
        """The same with no other channels than these."""
        return replace(self, channels={name: plane for name, plane in self.channels.items() if name in kept})

    def at_size(self, width: int, height: int) -> Picture:
        """The same on another canvas: the lower left corners meet, as Nuke counts from there."""
        if (width, height) == (self.width, self.height):
            return self
        planes = {name: moved(plane, width, height, 0, height - self.height) for name, plane in self.channels.items()}
        return Picture(width, height, planes, self.metadata)


def moved(plane: Plane, width: int, height: int, left: int, top: int) -> Plane:
    """A plane on a black canvas, its upper left corner at a pixel that may be outside."""
    canvas = np.zeros((height, width), np.float32)
    rows = slice(max(0, top), min(height, top + plane.shape[0]))
    columns = slice(max(0, left), min(width, left + plane.shape[1]))
    if rows.start < rows.stop and columns.start < columns.stop:
        canvas[rows, columns] = plane[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    return canvas


def empty() -> Picture:
    """No channels, in the size of the script."""
    from nuke._formats import root_format

    size = root_format()
    return Picture(size.width(), size.height())
