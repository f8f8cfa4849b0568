"""What takes plain video apart: the seams that models and OpenCV stand behind, and the values between them.

Frames are uint8 [F, H, W, 3] sRGB of one shot; masks are bool [F, H, W].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from layerflow.data.light import Pixels

Masks = NDArray[np.bool_]  # [F, H, W]
What = Literal["foreground", "background", "blended"]


@dataclass(frozen=True, kw_only=True)
class Track:
    """One thing over a shot. `label` is what a detector called it, or empty; a higher `score` is surer."""

    masks: Masks
    score: float
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class Tag:
    """A thing that a detector sees in one picture: what it is, and its box (left, top, right, bottom) in pixels."""

    label: str
    box: tuple[float, float, float, float]
    score: float = 1.0


class Segmenter(Protocol):
    """Finds the things of a shot."""

    def tracks(self, frames: Pixels) -> list[Track]:
        """The things in `frames`, surest first; empty when there is none."""
        ...


class Tagger(Protocol):
    """Names what one picture shows, for a segmenter that has to be told where to look."""

    def tags(self, picture: Pixels) -> list[Tag]:
        """What `picture` [H, W, 3] shows, surest first."""
        ...


class Inpainter(Protocol):
    """Makes up what things hide."""

    def filled(self, frames: Pixels, holes: Masks) -> Pixels:
        """`frames` with other pixels in `holes`, and unchanged outside of them."""
        ...


class Captioner(Protocol):
    """Says what a layer shows."""

    def caption(self, pictures: Pixels, what: What, hint: str) -> str:
        """A caption of `pictures` [F, H, W, 3]; `hint` is what is known already, or empty."""
        ...


@dataclass(frozen=True, kw_only=True)
class Tools:
    """What a video is taken apart with. `name` goes into the manifest."""

    segmenter: Segmenter
    inpainter: Inpainter
    captioner: Captioner
    name: str


class GivenNames:
    """Captions where no model is given: the hint, which is a file's name or what a table says."""

    def caption(self, pictures: Pixels, what: What, hint: str) -> str:
        """The hint, or a plain word for the layer."""
        return hint or {"foreground": "an object", "background": "a background", "blended": "a scene"}[what]


def union(tracks: Sequence[Track]) -> Masks:
    """Where any of `tracks` is."""
    either: Masks = np.logical_or.reduce([track.masks for track in tracks])
    return either
