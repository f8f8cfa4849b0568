"""A CurveTool: looks at pixels, and keeps what it finds in its own knobs, as a key for every frame."""

from __future__ import annotations

from typing import Any

import numpy as np

from nuke import _layers

_LUMA = (0.2125, 0.7154, 0.0721)  # the weights of Rec. 709, as the NDK rounds them


def measure(node: Any, frame: int, view: str) -> None:
    """Finds the brightest and the darkest pixel of a frame, in the region of interest."""
    from nuke._evaluate import NodeError, picture_of

    above = node.input(0)
    if above is None:
        raise NodeError(node, "Missing input channel")
    picture = picture_of(above, frame, view)
    if node["operation"].value() != "Max Luma Pixel":
        raise NodeError(node, f"the stand-in cannot do {node['operation'].value()!r}")
    names = _layers.meant(str(node["channels"].value()))[:3]
    pixels = np.stack([picture.plane(name) for name in (*names, "black", "black")[:3]], axis=-1)
    left, bottom, right, top = (int(edge) for edge in node["ROI"].value())
    left, right = max(0, left), min(picture.width, right)
    rows = slice(max(0, picture.height - top), picture.height - max(0, bottom))
    region = pixels[rows, left:right]
    if region.size:
        _keep(node, frame, region, (left, picture.height - 1 - rows.start))


def _keep(node: Any, frame: int, region: np.ndarray, corner: tuple[int, int]) -> None:
    luma = region @ np.asarray(_LUMA, region.dtype)
    for word, flat in (("max", int(luma.argmax())), ("min", int(luma.argmin()))):
        row, column = divmod(flat, region.shape[1])
        where = (corner[0] + column, corner[1] - row)
        for channel, value in enumerate(where):
            node[f"{word}lumapixdata"].setValueAt(float(value), frame, channel)
        for channel, value in enumerate(region[row, column]):
            node[f"{word}lumapixvalue"].setValueAt(float(value), frame, channel)
