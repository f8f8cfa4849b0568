"""A Write: pictures as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio

from nuke import _color, _exr_names, _layers
from nuke._callbacks import filenameFilter
from nuke._picture import Picture
from nuke._state import state

_COMPRESSIONS = {
    "none": "none",
    "Zip (1 scanline)": "zips",
    "Zip (16 scanlines)": "zip",
    "PIZ Wavelet (32 scanlines)": "piz",
    "RLE": "rle",
    "B44": "b44",
    "B44A": "b44a",
    "DWAA": "dwaa",
    "DWAB": "dwab",
}
_USUAL = ("rgba.red", "rgba.green", "rgba.blue", "rgba.alpha")


def write_frame(node: Any, frame: int, view: str) -> None:
    """Writes a frame of a view. RuntimeError where that cannot be."""
    from nuke._evaluate import NodeError, picture_of

    if node["use_limit"].value() and not int(node["first"].value()) <= frame <= int(node["last"].value()):
        return
    above = node.input(0)
    if above is None:
        raise NodeError(node, "Missing input channel")
    picture = picture_of(above, frame, view)
    try:
        path = node["file"].evaluate(frame)
        if not path:
            raise RuntimeError("no filename specified")
        _write(node, picture, Path(str(filenameFilter(path))))
    except NodeError:
        raise
    except RuntimeError as error:
        raise NodeError(node, str(error)) from error


def _write(node: Any, picture: Picture, path: Path) -> None:
    if node["create_directories"].value():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RuntimeError(f"{path.parent}: {error.strerror}") from error
    if not path.parent.is_dir():
        raise RuntimeError(f"{path}: No such file or directory")
    names = _channels_of(node, picture)
    pixels = np.stack([picture.plane(name) for name in names], axis=-1)
    kind = _kind_of(node, path)
    if kind == "exr":
        _write_exr(node, path, names, pixels)
    else:
        _write_usual(node, path, kind, names, pixels)


def _channels_of(node: Any, picture: Picture) -> list[str]:
    """The channels that are written; one that the picture has not is black."""
    text = str(node["channels"].value())
    wanted = list(picture.channels) if text == "all" else list(_layers.meant(text))
    if not wanted or not picture.channels:
        raise RuntimeError("Missing input channel")
    first = [name for name in _USUAL if name in wanted]
    return first + sorted(name for name in wanted if name not in _USUAL)


def _kind_of(node: Any, path: Path) -> str:
    kind = str(node["file_type"].value()).strip() or path.suffix[1:].lower()
    known = {"exr": "exr", "png": "png", "jpeg": "jpeg", "jpg": "jpeg", "tiff": "tiff", "tif": "tiff"}
    if kind not in known:
        raise RuntimeError(f"{path}: unknown file type {kind!r}")
    return known[kind]


def _write_exr(node: Any, path: Path, names: list[str], pixels: np.ndarray) -> None:
    if not node["raw"].value() and not _color.is_linear(str(node["colorspace"].value()), True):
        pixels = _bent(names, pixels)
    is_half = node["datatype"].value() == "16 bit half"
    spec = oiio.ImageSpec(pixels.shape[1], pixels.shape[0], len(names), oiio.HALF if is_half else oiio.FLOAT)
    spec.channelnames = tuple(map(_exr_names.in_file, names))
    spec.attribute("compression", _COMPRESSIONS[str(node["compression"].value())])
    spec.attribute("nuke/version", f"{state.version[0]}.{state.version[1]}v1")
    spec.attribute("nuke/full_layer_names", 0)
    _save("exr", path, spec, pixels)


def _write_usual(node: Any, path: Path, kind: str, names: list[str], pixels: np.ndarray) -> None:
    if not node["raw"].value() and not _color.is_linear(str(node["colorspace"].value()), False):
        pixels = _bent(names, pixels)
    spec = oiio.ImageSpec(pixels.shape[1], pixels.shape[0], min(4, len(names)), oiio.UINT8)
    spec.attribute("oiio:UnassociatedAlpha", 1)
    _save(kind, path, spec, np.clip(pixels[..., :4], 0, 1))


def _bent(names: list[str], pixels: np.ndarray) -> np.ndarray:
    columns = [name.rpartition(".")[2] != "alpha" for name in names]
    bent = pixels.copy()
    bent[..., columns] = _color.from_linear(pixels[..., columns])
    return bent


def _save(kind: str, path: Path, spec: Any, pixels: np.ndarray) -> None:
    """Writes beside the file and then into its place, as Nuke does."""
    part = path.with_name(path.name + ".tmp")
    target = oiio.ImageOutput.create(kind)
    if not target.open(str(part), spec) or not target.write_image(np.ascontiguousarray(pixels, np.float32)):
        raise RuntimeError(f"{path}: {target.geterror()}")
    target.close()
    part.replace(path)
