"""A Read: files as pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio

from nuke import _color, _exr_names, _layers, _picture
from nuke._state import state

_FLOATS = ("half", "float", "double")


def read(node: Any, frame: int, view: str) -> _picture.Picture:
    """The picture of a frame. RuntimeError where there is none, unless on_error says what to show then."""
    wanted = _shown_frame(node, frame)
    if wanted is None:
        return _black(node)
    path = node["file"].evaluate(wanted)
    if path is None:
        raise RuntimeError("no filename specified")
    try:
        return _decoded(node, path, view, wanted)
    except RuntimeError:
        return _instead(node, wanted, view)


def _shown_frame(node: Any, frame: int) -> int | None:
    """The frame of the files that is shown at a frame of the script; None for black."""
    first, last = int(node["first"].value()), int(node["last"].value())
    mode, number = str(node["frame_mode"].value()), str(node["frame"].value()).strip()
    if number and mode != "expression":
        frame = frame + int(number) if mode == "offset" else frame - int(number) + first
    if first <= frame <= last:
        return frame
    how = str(node["before" if frame < first else "after"].value())
    length = last - first + 1
    if how == "loop":
        return first + (frame - first) % length
    if how == "bounce":
        place = (frame - first) % max(1, 2 * length - 2)
        return first + min(place, 2 * length - 2 - place)
    return {"hold": max(first, min(last, frame))}.get(how)


def _instead(node: Any, frame: int, view: str) -> _picture.Picture:
    """What is shown where a file cannot be read."""
    how = str(node["on_error"].value())
    if how == "error":
        return _decoded(node, node["file"].evaluate(frame), view, frame)
    if how == "nearest frame":
        span = range(int(node["first"].value()), int(node["last"].value()) + 1)
        there = [each for each in span if Path(node["file"].evaluate(each)).is_file()]
        if not there:
            return _decoded(node, node["file"].evaluate(frame), view, frame)
        nearest = min(there, key=lambda each: (abs(each - frame), each))
        return _decoded(node, node["file"].evaluate(nearest), view, nearest)
    return _checkerboard(node) if how == "checkerboard" else _black(node)


def _black(node: Any) -> _picture.Picture:
    size = node["format"].value()
    plane = np.zeros((size.height(), size.width()), np.float32)
    return _picture.Picture(size.width(), size.height(), {f"rgba.{name}": plane for name in ("red", "green", "blue")})


def _checkerboard(node: Any) -> _picture.Picture:
    size = node["format"].value()
    rows, columns = np.indices((size.height(), size.width())) // 16
    plane = np.where((rows + columns) % 2, np.float32(0.1), np.float32(0.5))
    return _picture.Picture(size.width(), size.height(), {f"rgba.{name}": plane for name in ("red", "green", "blue")})


def _decoded(node: Any, path: str, view: str, frame: int) -> _picture.Picture:
    """A file's picture in the script's working space. What was read is not read again until Reload, as in Nuke."""
    path = str(_filtered(path))
    key = (path, view, state.reloads[node.fullName()])
    if key not in state.files:
        state.files[key] = _file(path, view)
    picture, is_float = state.files[key]
    _known_layers(picture)
    picture = _picture.Picture(
        picture.width, picture.height, picture.channels, {**picture.metadata, "input/frame": frame}
    )
    if node["raw"].value() or _color.is_linear(str(node["colorspace"].value()), is_float):
        return picture
    bent = {n: _color.to_linear(p) for n, p in picture.channels.items() if n.startswith("rgba.") and n != "rgba.alpha"}
    return picture.with_channels(bent)


def _filtered(path: str) -> Any:
    from nuke._callbacks import filenameFilter

    return filenameFilter(path)


def _known_layers(picture: _picture.Picture) -> None:
    for channel in picture.channels:
        layer = channel.partition(".")[0]
        if channel not in state.layers.get(layer, ()):
            _layers.add(layer, (channel,))


def _file(path: str, view: str) -> tuple[_picture.Picture, bool]:
    config = oiio.ImageSpec()
    config.attribute("oiio:UnassociatedAlpha", 1)
    source = oiio.ImageInput.open(path, config)
    if source is None:
        oiio.geterror()
        reason = (
            "Read error: No such file or directory" if not Path(path).is_file() else "Read error: cannot be decoded"
        )
        raise RuntimeError(f"{path}: {reason}")
    try:
        return _parts(source, path, view)
    finally:
        source.close()


def _parts(source: Any, path: str, view: str) -> tuple[_picture.Picture, bool]:
    spec = source.spec()
    width, height = spec.full_width, spec.full_height
    planes: dict[str, _picture.Plane] = {}
    parts = []
    while source.seek_subimage(len(parts), 0):
        parts.append(source.spec())
    has_layers = any("." in name for part in parts for name in part.channelnames)
    for index, part in enumerate(parts):
        name = "" if has_layers or len(parts) == 1 else str(part.getattribute("oiio:subimagename") or "")
        for channel, plane in _planes(source, index, part):
            of_view, known = _exr_names.from_file(channel, name)
            if of_view in (None, view):
                planes[known] = _picture.moved(plane, width, height, part.x - part.full_x, part.y - part.full_y)
    return _picture.Picture(width, height, _with_gray(planes), _metadata(spec, path)), str(spec.format) in _FLOATS


def _planes(source: Any, index: int, part: Any) -> list[tuple[str, _picture.Plane]]:
    source.seek_subimage(index, 0)
    pixels = source.read_image(index, 0, 0, part.nchannels, oiio.FLOAT)
    if pixels is None:
        raise RuntimeError(f"Read error: {source.geterror()}")
    pixels = pixels.reshape(part.height, part.width, part.nchannels)
    return [(name, np.ascontiguousarray(pixels[..., i])) for i, name in enumerate(part.channelnames)]


def _with_gray(planes: dict[str, _picture.Plane]) -> dict[str, _picture.Plane]:
    """A picture of one brightness is red, green and blue."""
    gray = planes.pop("other.Y", None)
    if gray is not None and "rgba.red" not in planes:
        planes |= {f"rgba.{name}": gray for name in ("red", "green", "blue")}
    return planes


def _metadata(spec: Any, path: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "input/filename": path,
        "input/width": spec.full_width,
        "input/height": spec.full_height,
        "input/filereader": Path(path).suffix[1:].lower(),
    }
    for each in spec.extra_attribs:
        if not each.name.startswith(("oiio:", "openexr:")):
            value = each.value
            kept = value if isinstance(value, (str, int, float)) else str(value)
            found[f"{found['input/filereader']}/{each.name}"] = kept
    return found
