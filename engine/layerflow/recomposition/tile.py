"""The solve for one run of pixels, in place, in scratch that stays in a core's cache.

Each pixel has a light and a heavy layer: the one with the smaller weight and the one with the greater, whichever of
foreground and background that is. All arrays are flat, a weight standing beside each of a pixel's three channels.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from layerflow.layers import HALF_MAX, Pixels

HEADROOM = np.float32(4.0)  # how far above its estimate and the plate a colour may rise: two stops
DARK = np.float32(1 / 256)  # below it an estimate's variance falls no further: there the display curve is straight
# What rounding the heavy layer leaves open at most is 2^-11 of the plate, or 2^-25. A little more than that:
SLACK = np.float32(2**-11 * 1.01), np.float32(2**-25 * 1.2)


class Tile:
    """Room for `num_pixels` pixels; reused for one run of pixels after another."""

    def __init__(self, num_pixels: int) -> None:
        size = 3 * num_pixels
        arrays = np.empty((13, size), np.float32)
        self._bits, self._swap_bits = arrays[10].view(np.int32), arrays[12].view(np.int32)
        self.plate, self.low, self.top, self.light, self.heavy, self.light_weight, self.heavy_weight = arrays[:7]
        self.gain, self.light_out, self.heavy_out, self._one, self._two, self._swap = arrays[7:]
        # NumPy compares with an array four times as fast as with one number
        self._zero, self._dark, self._most = (np.full(size, value, np.float32) for value in (0.0, DARK, HALF_MAX))
        self._half = torch.empty(size, dtype=torch.float16)

    def __len__(self) -> int:
        return len(self.plate) // 3

    def load(self, plate: Pixels, alpha: Pixels, foreground: Pixels, background: Pixels) -> None:
        """Takes flat `plate`, `foreground` and `background` [3 n] and `alpha` [n], a half float in [0, 1]."""
        np.clip(plate, -HALF_MAX, HALF_MAX, out=self.plate)
        np.minimum(self.plate, self._zero, out=self.low)
        np.maximum(self.plate, self._zero, out=self.top)
        for estimate, out in ((foreground, self.light), (background, self.heavy)):
            np.fmax(estimate, self.low, out=out)
            np.minimum(out, self._most, out=out)
        for channel in range(3):
            self._one[channel::3] = alpha
        np.subtract(1.0, self._one, out=self._two)
        np.minimum(self._one, self._two, out=self.light_weight)
        np.maximum(self._one, self._two, out=self.heavy_weight)
        np.subtract(0.5, self._one, out=self._swap)
        np.right_shift(self._swap_bits, 31, out=self._swap_bits)  # all bits where the foreground is the heavy layer
        self._exchange(self.light, self.heavy, self.light, self.heavy)

    def _exchange(self, one: Pixels, two: Pixels, out_one: Pixels, out_two: Pixels) -> None:
        """Swaps the two where the foreground is heavy; by their bits, as a masked copy takes ten times as long."""
        one_bits, two_bits, differing = one.view(np.int32), two.view(np.int32), self._bits
        np.bitwise_xor(one_bits, two_bits, out=differing)
        np.bitwise_and(differing, self._swap_bits, out=differing)
        np.bitwise_xor(one_bits, differing, out=out_one.view(np.int32))
        np.bitwise_xor(two_bits, differing, out=out_two.view(np.int32))

    @property
    def is_hard(self) -> bool:
        """Whether every pixel is all foreground or all background."""
        return bool(self.light_weight.max() == 0.0)

    def keep(self) -> None:
        """Where `is_hard`: the heavy layer is the plate, the light one its estimate."""
        for colour, out in ((self.light, self.light_out), (self.plate, self.heavy_out)):
            self._round(colour, out)

    def fit(self) -> None:
        """Finds the least-squares colour of the light layer, `light_out`, and `gain`, the error over its variance."""
        one, two, error = self._one, self._two, self.gain
        np.multiply(self.light_weight, self.light, out=one)
        np.multiply(self.heavy_weight, self.heavy, out=two)
        np.subtract(self.plate, one, out=error)
        np.subtract(error, two, out=error)
        np.abs(self.plate, out=two)
        np.multiply(two, SLACK[0], out=two)
        np.add(two, SLACK[1], out=two)
        np.minimum(error, two, out=one)
        np.negative(two, out=two)
        np.maximum(one, two, out=one)
        np.subtract(error, one, out=error)  # an error that rounding may have left is none
        np.maximum(self.heavy, self._dark, out=one)
        np.multiply(one, self.heavy_weight, out=one)
        np.multiply(one, self.heavy_weight, out=one)
        np.maximum(self.light, self._dark, out=two)
        np.multiply(two, self.light_weight, out=two)
        np.multiply(two, self.light_weight, out=self.light_out)
        np.add(one, self.light_out, out=one)
        np.divide(error, one, out=error)
        np.multiply(two, error, out=two)
        np.add(self.light, two, out=self.light_out)

    def limit(self) -> None:
        """Brings the light layer to the nearest colour with which both layers stay within their range."""
        weight = np.maximum(self.light_weight, np.float32(2**-30))
        ceiling = self.ceiling(self.heavy)
        lowest = np.maximum(ceiling - (ceiling - self.plate) / weight, self.low)
        highest = np.minimum(self.low + self.top / weight, self.ceiling(self.light))
        np.clip(self.light_out, lowest, highest, out=self.light_out, where=self.light_weight > 0)

    def ceiling(self, estimate: Pixels) -> Pixels:
        """The highest colour that a layer of this estimate may have."""
        highest: Pixels = np.minimum(np.maximum(estimate, self.top) * HEADROOM, self._most)
        return highest

    def settle(self) -> NDArray[np.bool_]:
        """Rounds the light layer, solves the heavy one for what is left, rounds it; where one was out of range."""
        one, two, heavy = self._one, self._two, self.heavy_out
        self._round(self.light_out, self.light_out)
        np.multiply(self.light_weight, self.light_out, out=heavy)
        np.subtract(self.plate, heavy, out=heavy)
        np.divide(heavy, self.heavy_weight, out=heavy)
        np.minimum(self.light_out, heavy, out=one)
        outside: NDArray[np.bool_] = np.less(one, self.low)
        for estimate, found in ((self.light, self.light_out), (self.heavy, heavy)):
            np.maximum(estimate, self.top, out=two)
            np.multiply(two, HEADROOM, out=two)
            np.minimum(two, self._most, out=two)
            np.logical_or(outside, np.greater(found, two), out=outside)
        np.maximum(heavy, self.low, out=heavy)
        np.minimum(heavy, self._most, out=heavy)
        self._round(heavy, heavy)
        return outside

    def _round(self, colour: Pixels, out: Pixels) -> None:
        """`out` is `colour` as half floats hold it. By torch: NumPy's own casts take twenty times as long."""
        self._half.copy_(torch.from_numpy(colour))
        torch.from_numpy(out).copy_(self._half)

    def store(self, foreground: Pixels, background: Pixels) -> None:
        """Writes the layers to flat `foreground` and `background` [3 n]."""
        self._exchange(self.light_out, self.heavy_out, foreground, background)


def half(values: Pixels) -> Pixels:
    """`values` as half floats hold them."""
    rounded: Pixels = torch.from_numpy(values).half().float().numpy()
    return rounded
