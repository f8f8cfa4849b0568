"""One still image: its header, checked before any pixel is read, and its pixels in any window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio

from layerflow import layers, reading, window
from layerflow.errors import PlateError
from layerflow.layers import Pixels
from layerflow.plate.channels import matte_channel
from layerflow.reading import header_texts, legible, plain, reason, text
from layerflow.window import Window

_MAGIC = {
    "openexr": (b"\x76\x2f\x31\x01",),
    "dpx": (b"SDPX", b"XPDS"),
    "tiff": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "png": (b"\x89PNG\r\n\x1a\n",),
    "jpeg": (b"\xff\xd8\xff",),
}
_KINDS = {
    ".exr": "openexr",
    ".dpx": "dpx",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
}
_Chosen = tuple[Any, int, tuple[int, ...], tuple[str, ...]]  # header, part, channel numbers, notes
_MAX_PARTS = 64
_MAX_CHANNELS = 1024


@dataclass(frozen=True, kw_only=True)
class Image:
    """What an image's header says."""

    path: Path
    label: str  # `frame 1004 (dog.1004.exr)`, for sentences
    part: int
    columns: tuple[int, ...]  # channel numbers of R, G, B, or of grey, then of A if there is one
    has_alpha: bool
    straight: bool
    sample: str  # `half`, `uint8`, ...
    display: Window
    data: Window
    pixel_aspect: float
    fps: Fraction | None
    timecode: str | None
    colorspace: str | None  # as the header names it
    space_note: str  # what of that is a guess; empty when nothing is
    notes: tuple[str, ...]


def inspect(path: Path, label: str, layer: str | None = None) -> Image:
    """The header of an image, by its R, G, B(, A) or those of `layer`; raises PlateError when it cannot be a plate."""
    _check_content(path, label)
    with legible(label):
        return _inspect(path, label, partial(_find_colour, label=label, layer=layer))


def inspect_matte(path: Path, label: str, channel: str | None = None) -> Image:
    """The header of an image that is read as grey, of one `channel` alone, as `matte_channel` finds it."""
    _check_content(path, label)
    with legible(label):
        return _inspect(path, label, partial(_find_matte, label=label, channel=channel))


def layer_names(path: Path, label: str) -> tuple[str, ...]:
    """Names of the colour layers in an image's header; raises PlateError when it cannot be read."""
    _check_content(path, label)
    with legible(label):
        return tuple(name for spec in _specs(_open(path, label), label) for name in _layers(spec))


def _inspect(path: Path, label: str, choose: Callable[[list[Any]], _Chosen]) -> Image:
    source = _open(path, label)
    spec, part, columns, notes = choose(_specs(source, label))
    _check_colour(spec, label)
    data, display = reading.windows(spec)
    for area in (data, display):
        window.check_area(area[2], area[3], label)
    if window.intersect(data, display) is None:
        raise PlateError(f"the data window of {label} lies outside its display window; render it again")
    space, note = reading.colorspace_of_file(spec, source.format_name())
    return Image(
        path=path,
        label=label,
        part=part,
        columns=columns,
        has_alpha=len(columns) in (2, 4),
        straight=_is_straight(spec),
        sample=str(spec.format),
        display=display,
        data=data,
        pixel_aspect=reading.pixel_aspect(spec),
        fps=reading.fps(spec),
        timecode=reading.timecode_of(spec),
        colorspace=space,
        space_note=note,
        notes=notes,
    )


def read(image: Image, area: Window) -> tuple[Pixels, layers.Repairs]:
    """Pixels [H, W, 3 | 4] of the window `area`, straight alpha in [0, 1], and what had to be repaired."""
    source = _open(image.path, image.label)
    if not source.seek_subimage(image.part, 0):
        raise PlateError(f"{image.label} changed while it was read; start again")
    first, last = min(image.columns), max(image.columns) + 1
    pixels = source.read_image(image.part, 0, first, last, oiio.FLOAT)
    if pixels is None or pixels.shape[:2] != (image.data[3], image.data[2]):
        raise PlateError(f"{image.label} is damaged or cut short ({reason(source)}); render or copy it again")
    chosen = pixels[..., [column - first for column in image.columns]]
    grey = len(image.columns) < 3
    chosen = chosen[..., [0, 0, 0, 1][: 4 if image.has_alpha else 3]] if grey else chosen
    clean, repairs = layers.sanitise(window.reframe(chosen, image.data, area))
    if image.has_alpha:
        clean = np.concatenate([clean[..., :3], clean[..., 3:].clip(0.0, 1.0)], axis=-1)
        clean = clean if image.straight else layers.unpremultiply(clean)
    return np.ascontiguousarray(clean, np.float32), repairs


def header(image: Image) -> dict[str, str]:
    """Every attribute of the image's header that is text or reads as text."""
    source = _open(image.path, image.label)
    source.seek_subimage(image.part, 0)
    return header_texts(source.spec())


def _check_content(path: Path, label: str) -> None:
    """Raises PlateError unless the file can be read and starts like its name says."""
    if not path.is_file():
        what = "a folder" if path.is_dir() else "a broken link" if path.is_symlink() else "not a regular file"
        raise PlateError(f"{label} is {what}; put the image file there")
    kind = _KINDS[path.suffix.lower()]
    try:
        with path.open("rb") as file:
            start = file.read(8)
            rest = file.read() if kind == "jpeg" else b""
    except OSError as error:
        raise PlateError(f"{label} cannot be read ({error.strerror}); check its permissions") from error
    if not start:
        raise PlateError(f"{label} is empty (0 bytes); render or copy it again")
    if not start.startswith(_MAGIC[kind]):
        real = next((name for name, magic in _MAGIC.items() if start.startswith(magic)), None)
        what = f"holds {real} data" if real else "is not an image"
        raise PlateError(f"{label} {what} in spite of its name; rename or render it again")
    if kind == "jpeg" and rest.rfind(b"\xff\xd9") <= rest.rfind(b"\xff\xda"):  # decoders fill the rest with grey
        raise PlateError(f"{label} is cut short (no end of image); copy it again")


def _open(path: Path, label: str) -> Any:
    config = oiio.ImageSpec()
    config.attribute("oiio:UnassociatedAlpha", 1)  # straight stays straight
    source = oiio.ImageInput.open(str(path), config)
    if source is None:
        raise PlateError(f"{label} is damaged ({reason(oiio)}); render or copy it again")
    return source


def _specs(source: Any, label: str) -> list[Any]:
    specs: list[Any] = []
    while len(specs) < _MAX_PARTS and source.seek_subimage(len(specs), 0):
        specs.append(source.spec())
    if any(spec.nchannels > _MAX_CHANNELS for spec in specs):
        raise PlateError(f"{label} has more than {_MAX_CHANNELS} channels; write it with the colour channels only")
    return specs


def _refuse_deep(specs: list[Any], label: str) -> None:
    if any(spec.deep for spec in specs):
        raise PlateError(f"{label} is a deep EXR; flatten it first")


def _find_matte(specs: list[Any], label: str, channel: str | None) -> _Chosen:
    """As `_find_colour`, of the one channel of a matte."""
    _refuse_deep(specs, label)
    names = [(part, name) for part, spec in enumerate(specs) for name in map(plain, spec.channelnames)]
    found = matte_channel([name for _, name in names], channel)
    if found is None:
        listed = ", ".join(dict.fromkeys(name for _, name in names[:20]))
        raise PlateError(f"{label} has no one channel {channel}, only {listed}; name one of them")
    part = names[found][0]
    column = found - [number for number, _ in names].index(part)
    return specs[part], part, (column,), ()


def _find_colour(specs: list[Any], label: str, layer: str | None) -> _Chosen:
    """The header, number and colour channels of the part to use, and notes on the choice."""
    _refuse_deep(specs, label)
    for part, spec in enumerate(specs):
        columns = _columns(spec, f"{layer}." if layer else "")
        if columns:
            name = text(spec, "oiio:subimagename") or str(part)
            several = text(spec, "compression") and len(specs) > 1  # TIFF pages are not parts
            notes = [f"of the {len(specs)} parts, part {name} is used"] if several else []
            return spec, part, columns, (*notes, *([f"its layer {layer} is used"] if layer else []))
    found = [(part, name) for part, spec in enumerate(specs) for name in _layers(spec)]
    if len(found) == 1 and layer is None:
        part, name = found[0]
        return specs[part], part, _columns(specs[part], f"{name}."), (f"its only colour layer, {name}, is used",)
    if found:
        names = ", ".join(name for _, name in found)
        wanted = f"no layer {layer}" if layer else "no plain red, green and blue"
        raise PlateError(f"{label} has {wanted} but the layers {names}; write the wanted one as R, G, B")
    channels = ", ".join(name for spec in specs for name in map(plain, spec.channelnames[:8]))
    raise PlateError(f"{label} has no colour, only {channels}; give a plate with red, green and blue")


def _columns(spec: Any, prefix: str) -> tuple[int, ...]:
    place = {name: column for column, name in enumerate(map(plain, spec.channelnames))}
    for letters in ("RGB", "Y"):
        wanted = [f"{prefix}{letter}" for letter in letters]
        if all(name in place for name in wanted) and f"{prefix}RY" not in place:
            alpha = [place[f"{prefix}A"]] if f"{prefix}A" in place else []
            return tuple([place[name] for name in wanted] + alpha)
    return ()


def _layers(spec: Any) -> list[str]:
    return [name[:-2] for name in map(plain, spec.channelnames) if name.endswith(".R") and _columns(spec, name[:-1])]


def _check_colour(spec: Any, label: str) -> None:
    if "CMYK" in (text(spec, "jpeg:ColorSpace"), text(spec, "tiff:ColorSpace")):
        raise PlateError(f"{label} is CMYK, made for print; save it as RGB")
    turned = spec.get_int_attribute("Orientation", 1)
    if turned not in (0, 1):
        raise PlateError(f"{label} is stored turned or mirrored (orientation {turned}); save it upright")


def _is_straight(spec: Any) -> bool:
    written = text(spec, "layerflow:alphaMode") == "straight"
    return written or bool(spec.get_int_attribute("oiio:UnassociatedAlpha", 0))
