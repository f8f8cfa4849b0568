"""Half pixels of plain EXR files by the format's own library: half the work of OpenImageIO, and others go on meanwhile.

OpenImageIO holds the interpreter's lock for a tenth of a second now and then while it reads a frame of 1080p; this
library never does for longer than a few milliseconds. What it does not take without complaint is left to OpenImageIO,
which says what is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR

from layerflow_desktop.models.image_file import Part, reframed
from layerflow_desktop.models.picture import Half

Planes = Mapping[str, Half]

_MAX_BYTES = 1 << 32  # of all channels, since all are read
_REFUSALS = (RuntimeError, ValueError, TypeError, KeyError)  # what the library raises for damaged files


def read_planes(path: Path, parts: Sequence[Part]) -> Planes | None:
    """What is in a file: name -> [H, W, C] of a group (`RGBA`, `foreground`) or [H, W] of a channel, data window.

    None where the file is not one part of rows of half floats, or is damaged.
    """
    if not is_plain(parts):
        return None
    try:
        found = OpenEXR.File(str(path)).parts
        planes = {name: channel.pixels for name, channel in found[0].channels.items()} if len(found) == 1 else {}
    except _REFUSALS:
        return None
    _, _, width, height = parts[0].data
    is_whole = all(plane.dtype == np.float16 and plane.shape[:2] == (height, width) for plane in planes.values())
    return planes if planes and is_whole else None


def is_plain(parts: Sequence[Part]) -> bool:
    """Whether these headers are of one part of rows of half floats, of a size that can be read as a whole."""
    if len(parts) != 1 or parts[0].kind != "openexr":
        return False
    spec = parts[0].spec
    is_half = str(spec.format) == "half" and not spec.channelformats
    return is_half and not spec.tile_width and spec.image_bytes() <= _MAX_BYTES


def layer_of(planes: Planes, part: Part, names: Sequence[str]) -> Any:
    """The channels `names` of what was read, [H, W, C] of the display window; None where they are not all there."""
    pixels = _grouped(planes, names)
    if pixels is None:
        single = [planes.get(name) for name in names]
        if any(plane is None or plane.ndim != 2 for plane in single):
            return None
        pixels = np.stack(single, axis=-1)  # type: ignore[arg-type]
    return reframed(pixels, part.data, part.display)


def _grouped(planes: Planes, names: Sequence[str]) -> Any:
    """Channels that the library has put together: `x.R`, `x.G`, `x.B` as `x`, those without a name as their letters."""
    prefixes = {name.rpartition(".")[0] for name in names}
    letters = "".join(name.rpartition(".")[2] for name in names)
    if len(prefixes) != 1 or letters not in ("RGB", "RGBA"):
        return None
    prefix = prefixes.pop()
    for group in (prefix,) if prefix else ("RGBA", "RGB"):
        pixels = planes.get(group)
        if pixels is not None and pixels.ndim == 3 and pixels.shape[-1] >= len(letters):
            return pixels[..., : len(letters)]
    return None
