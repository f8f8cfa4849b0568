"""Transform: a picture scaled about a point and moved. Pixels are interpolated linearly, where Nuke has filters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nuke._picture import Picture, Plane, empty


def transformed(node: Any, above: Callable[[int], Picture | None]) -> Picture:
    """The first input where the node puts it; black outside. Nuke counts upward from the lower left corner."""
    picture = above(0) or empty()
    if node["rotate"].value() or not node["black_outside"].value():
        raise RuntimeError("the stand-in's Transform does not turn, and is black outside")
    scale, (to_right, up) = float(node["scale"].value()), node["translate"].value()
    across, upward = node["center"].value()
    columns = (np.arange(picture.width) + 0.5 - across - to_right) / scale + across - 0.5
    heights = picture.height - np.arange(picture.height) - 0.5  # of pixel centres above the lower edge
    rows = picture.height - ((heights - upward - up) / scale + upward) - 0.5
    return Picture(
        picture.width,
        picture.height,
        {name: _at(plane, rows, columns) for name, plane in picture.channels.items()},
        picture.metadata,
    )


def _at(plane: Plane, rows: np.ndarray, columns: np.ndarray) -> Plane:
    """A plane at places between its pixels, black one pixel out."""
    framed = np.pad(plane, 1)
    down = np.stack([np.interp(rows, np.arange(-1, plane.shape[0] + 1), column) for column in framed.T], axis=1)
    return np.stack([np.interp(columns, np.arange(-1, plane.shape[1] + 1), row) for row in down]).astype(np.float32)
