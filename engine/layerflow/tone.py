"""The display picture that the model sees of a plate, and the way back from what it made.

A display-referred plate, whose white is its largest value, is only encoded as sRGB. What is scene-linear or log has
light above white, and a shoulder brings `PEAK` times white (four stops) down to display white. With d the plain sRGB
encoding of a channel, K the knee and t = (d - K) / (1 - K):

    shown = K + (1 - K) ln(1 + a t) / a  above K,  d below,  a = ln(1 + a T),  T = t of the peak

The slope at the knee is 1, so that nothing below it changes, and the way back is d = K + (1 - K) (e^(a s) - 1) / a with
s = (shown - K) / (1 - K). The curve is the same for every frame and every shot: frames agree, and a stream can be cut
anywhere. Outside [0, PEAK] the model sees black or white. The plate's own values come back from the plate, by
`recomposition`; a higher peak would only turn every white that a model guesses into a lamp. Knee and peak are measured:
docs/benchmarks.md, "Tone".

The model's colours are Rec. 709's, so a colour outside of them has a channel below 0.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from layerflow import color
from layerflow.layers import Pixels

PEAK = 16.0  # scene-linear light that becomes display white
KNEE = 0.8  # sRGB, where the shoulder begins: .6 of scene white
TOLERANCE = 1e-3  # of a display value, before it counts as lost


@dataclass(frozen=True, kw_only=True)
class Tone:
    """A curve between a colour space and the model's display picture."""

    shoulder: bool  # else plain sRGB
    knee: float = KNEE
    peak: float = PEAK

    def to_display(self, pixels: Pixels, source: str) -> Pixels:
        """`pixels` [..., 3 | 4] of colour space `source` as the model sees them, display-referred [0, 1]."""
        return _clipped(self._shown(pixels, source))

    def to_display_and_lost(self, pixels: Pixels, source: str) -> tuple[Pixels, float]:
        """As `to_display`, and the share of `pixels` that the model sees clipped."""
        shown = self._shown(pixels, source)
        lost = _share_outside(shown[..., :3])  # before it is clipped
        return _clipped(shown), lost

    def from_display(self, shown: Pixels, target: str) -> Pixels:
        """What `shown` [..., 3 | 4] in [0, 1] is in the linear space `target`; alpha untouched."""
        if not self.shoulder:
            return color.from_display(shown, target)
        encoded = shown.astype(np.float32)
        low, above = self._parted(encoded[..., :3])
        encoded[..., :3] = low + (np.exp(above * self._steepness) - 1) * self._unit
        return color.from_display(encoded, target)

    def _shown(self, pixels: Pixels, source: str) -> Pixels:
        """A new array, nothing of it clipped."""
        encoded = color.to_display(pixels, source)
        if self.shoulder:
            low, above = self._parted(encoded[..., :3])
            encoded[..., :3] = low + np.log(above * self._steepness + 1) * self._unit
        return encoded

    def _parted(self, encoded: Pixels) -> tuple[Pixels, Pixels]:
        """What of `encoded` is up to the knee, and t above it."""
        knee = np.float32(self.knee)
        return np.minimum(encoded, knee), np.maximum(encoded - knee, 0) / (1 - knee)

    @functools.cached_property
    def _steepness(self) -> np.float32:
        top = (1.055 * self.peak ** (1 / 2.4) - 0.055 - self.knee) / (1 - self.knee)
        steepness = top
        for _ in range(100):  # its slope at the solution is T / (1 + a T), below 1
            steepness = math.log1p(steepness * top)
        return np.float32(steepness)

    @property
    def _unit(self) -> np.float32:
        return np.float32((1 - self.knee) / self._steepness)


def _clipped(shown: Pixels) -> Pixels:  # in place
    clipped: Pixels = np.clip(shown, 0.0, 1.0, out=shown)
    return clipped


def _share_outside(shown: Pixels) -> float:  # [..., 3]
    outside = (shown < -TOLERANCE) | (shown > 1.0 + TOLERANCE)
    return float(outside.any(-1).mean())


PLAIN = Tone(shoulder=False)
SCENE = Tone(shoulder=True)


@functools.cache
def tone_of(space: str) -> Tone:
    """The curve for plates in colour space `space`. Raises ColorError for an unknown one."""
    return SCENE if color.has_headroom(space) else PLAIN
