"""What a clip gives for a frame, and what a viewer is given to show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Half = NDArray[np.float16]  # [H, W, 3 | 4], straight, scene-linear; rows from the top
Floats = NDArray[np.float32]


class ClipError(Exception):
    """A clip or one of its frames cannot be read; one sentence that says what to do."""


@dataclass(frozen=True)
class Picture:
    """One frame of a clip, in its display window: what lies outside is cut off, what the file leaves out is 0."""

    layers: Mapping[str, Half]

    @property
    def num_bytes(self) -> int:
        """The memory it takes."""
        return sum(pixels.nbytes for pixels in self.layers.values())


class Clip(Protocol):
    """Frames on disk. Read from any thread."""

    @property
    def name(self) -> str: ...
    @property
    def frames(self) -> tuple[int, ...]: ...  # the numbers there are, rising
    @property
    def fps(self) -> float: ...
    @property
    def width(self) -> int: ...  # display window, pixels
    @property
    def height(self) -> int: ...
    @property
    def pixel_aspect(self) -> float: ...
    @property
    def colorspace(self) -> str: ...  # of what `read` gives: scene-linear, by a name that OCIO knows
    @property
    def layers(self) -> tuple[str, ...]: ...  # names in a Picture: "blended", "foreground", ... or "plate"
    def read(self, frame: int) -> Picture: ...  # raises ClipError


@dataclass(frozen=True, eq=False)
class Placed:
    """A layer where it lies in the picture: scaled about the middle of its display window, then moved.

    Sampled bilinearly as premultiplied colour; outside of its own window it is transparent. Four channels and
    anything moved or scaled have an edge; three channels are opaque within it.
    """

    pixels: Half
    opacity: float = 1.0
    offset_x: float = 0.0  # pixels, to the right
    offset_y: float = 0.0  # pixels, downward
    scale: float = 1.0
    adds: bool = False  # a residual: added after everything; belongs to layers none of which is hidden, faded or moved


@dataclass(frozen=True, eq=False)
class Shown:
    """One side of a comparison: layers from front to back, all of one size and in one colour space."""

    layers: tuple[Placed, ...]
    name: str = ""  # as the viewer labels it


@dataclass(frozen=True, eq=False)
class Scene:
    """What a viewer draws: `a`, and what it is compared with."""

    width: int
    height: int
    a: Shown
    b: Shown | None = None
    pixel_aspect: float = 1.0
    colorspace: str = "ACEScg"
    frame: int = 0
