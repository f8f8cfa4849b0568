"""sRGB codes and the light they stand for (IEC 61966-2-1), on arrays of any shape."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

_STEPS = 65535


def unit(codes: Pixels) -> Floats:
    """8-bit `codes` as float32 in [0, 1]."""
    return codes.astype(np.float32) / np.float32(255)


def decode(codes: Pixels) -> Floats:
    """Scene-linear light in [0, 1] of 8-bit sRGB `codes`."""
    return np.take(_linear_table(), codes)


def encode(light: Floats) -> Floats:
    """sRGB values in [0, 1] of scene-linear `light`, by a table of 2^16 steps (off by less than 2e-4); clips."""
    places = np.clip(light, 0, 1) * np.float32(_STEPS) + np.float32(0.5)
    return np.take(_srgb_table(), places.astype(np.uint16))


def to_codes(values: Floats) -> Pixels:
    """8-bit codes of `values` in [0, 1]; clips."""
    codes: Pixels = np.rint(np.clip(values, 0, 1) * np.float32(255)).astype(np.uint8)
    return codes


def taken(codes: Pixels, *, linear: bool) -> Floats:
    """What arithmetic is done on: light when `linear`, the sRGB values themselves otherwise. [0, 1]."""
    return decode(codes) if linear else unit(codes)


def shown(values: Floats, *, linear: bool) -> Floats:
    """The way back from `taken`: sRGB values in [0, 1]."""
    return encode(values) if linear else np.clip(values, 0, 1)


@cache
def _linear_table() -> Floats:
    code = np.arange(256) / 255
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4).astype(np.float32)


@cache
def _srgb_table() -> Floats:
    light = np.arange(_STEPS + 1) / _STEPS
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055).astype(np.float32)
