"""How a matte is asked for: "roto.####.exr", or "roto.####.exr:mask.A" with one of its channels."""

from __future__ import annotations

from typing import Optional, Tuple

from layerflow.wire import checks


def parse_matte(text: str) -> Tuple[str, Optional[str]]:
    """The path and the channel in "path" or "path:channel"; None where none is given. ValueError for nonsense.

    What stands behind the last colon is a channel unless it goes on with a path, so Windows drives stay part of the
    path. A path with a colon in its last part is told apart by giving the channel: "take:2.exr:A".
    """
    path, colon, channel = text.rpartition(":")
    if not colon or "/" in channel or "\\" in channel:
        path, channel = text, ""
        colon = ""
    checks.check_local_path("matte", path)
    if colon and not channel.strip():
        raise ValueError("the channel is missing behind the colon of the matte {!r}; try {}:A".format(text, path))
    return path, channel or None


def write_matte(path: str, channel: Optional[str]) -> str:
    """The text that `parse_matte` reads as this path and this channel."""
    return path if channel is None else "{}:{}".format(path, channel)
