"""The two colour spaces that the stand-in knows: linear, and sRGB."""

from __future__ import annotations

import numpy as np

from nuke._picture import Plane

LINEAR = ("linear", "scene_linear", "raw", "data", "ACES - ACEScg")


def to_linear(plane: Plane) -> Plane:
    """sRGB decoded, IEC 61966-2-1."""
    return np.where(plane <= 0.04045, plane / 12.92, ((np.maximum(plane, 0) + 0.055) / 1.055) ** 2.4).astype(np.float32)


def from_linear(plane: Plane) -> Plane:
    """sRGB encoded, IEC 61966-2-1."""
    bent = 1.055 * np.maximum(plane, 0.0031308) ** (1 / 2.4) - 0.055
    return np.where(plane <= 0.0031308, plane * 12.92, bent).astype(np.float32)


def is_linear(space: str, is_float: bool) -> bool:
    """Whether files of a space hold linear light. RuntimeError for a space that the stand-in does not know."""
    if space == "default":
        return is_float
    if space not in (*LINEAR, "sRGB"):
        raise RuntimeError(f"the stand-in does not know the colour space {space!r}")
    return space in LINEAR
