"""Layered EXR frames: written whole or not at all, read back as a LayerStack.

One single-part half-float file per frame. Top-level R, G, B, A is the blended picture (A = 1), so that any viewer shows
something sensible; `foreground.R/G/B/A`, `background.R/G/B` and further layers stand beside it. EXR has no attribute
that says whether alpha is straight, so `layerflow:alphaMode` does.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
import OpenEXR
import OpenImageIO as oiio

from layerflow import color, layers, reading, timecode, window
from layerflow.errors import OutputError, PlateError
from layerflow.files import as_os_error, atomic_path
from layerflow.layers import LayerStack, PictureFormat, Pixels
from layerflow.reading import header_texts, legible, plain, reason, text
from layerflow.wire.exr_layers import BLENDED, layer_channels

AlphaMode = Literal["straight", "premultiplied"]
Compression = Literal["none", "zips", "zip", "piz", "dwaa"]

_COMPRESSIONS: dict[str, Any] = {
    "none": OpenEXR.NO_COMPRESSION,
    "zips": OpenEXR.ZIPS_COMPRESSION,
    "zip": OpenEXR.ZIP_COMPRESSION,
    "piz": OpenEXR.PIZ_COMPRESSION,
    "dwaa": OpenEXR.DWAA_COMPRESSION,
}


def write_frame(
    path: Path,
    stack: LayerStack,
    index: int,
    *,
    header: Mapping[str, str],
    alpha: AlphaMode = "straight",
    compression: Compression = "zips",
) -> tuple[str, ...]:
    """Writes frame `index` of `stack` as one layered EXR; returns a sentence for each repair its pixels needed.

    `header` are strings to keep, under names of their own such as `layerflow:seed`. Raises OutputError.
    """
    frame = frame_of(stack, index)
    picture = frame.layers.get(BLENDED)
    blended = layers.recompose(frame) if picture is None else layers.opaque(picture)
    named = {"RGBA": layers.with_alpha(blended, np.ones(blended.shape[:-1], np.float32))}
    named |= {name: pixels for name, pixels in frame.layers.items() if name != BLENDED}
    order = ",".join((*(name for name in frame.layers if name != BLENDED), BLENDED))
    return _write(path, frame, named, {**header, "layerflow:layers": order}, alpha, compression)


def write_layer_frame(
    path: Path,
    stack: LayerStack,
    index: int,
    layer: str,
    *,
    header: Mapping[str, str],
    alpha: AlphaMode = "straight",
    compression: Compression = "zips",
) -> tuple[str, ...]:
    """Writes one layer of frame `index` as a plain RGBA EXR, for programs that heed alpha only there."""
    frame = frame_of(stack, index)
    pixels = frame.layers[layer]
    if pixels.shape[-1] == 3:
        pixels = layers.with_alpha(pixels, np.ones(pixels.shape[:-1], np.float32))
    return _write(path, frame, {"RGBA": pixels}, {**header, "layerflow:layers": layer}, alpha, compression)


def frame_of(stack: LayerStack, index: int) -> LayerStack:
    """Frame `index` of `stack` as a stack of one frame, its timecode advanced."""
    start = stack.format.timecode
    ahead = stack.frames[index] - stack.frames[0]
    return LayerStack(
        layers={name: pixels[index : index + 1] for name, pixels in stack.layers.items()},
        frames=(stack.frames[index],),
        format=replace(stack.format, timecode=start and timecode.advance(start, ahead, stack.format.fps)),
        colorspace=stack.colorspace,
    )


def _write(
    path: Path, frame: LayerStack, named: Mapping[str, Pixels], header: Mapping[str, str], alpha: str, compression: str
) -> tuple[str, ...]:
    form, working = frame.format, frame.format.working_window
    data = window.intersect(form.data_window or form.display_window, working) or form.display_window
    where = f"frame {frame.frames[0]}"
    channels: dict[str, Any] = {}
    notes: list[str] = []
    for name, pixels in named.items():
        half, repairs = _to_half(pixels[0], premultiplied=alpha == "premultiplied")
        channels[name] = window.reframe(half, working, data)
        notes += repairs.sentences(where if name == "RGBA" else f"{name} of {where}")
    attributes = _attributes(frame, data) | {"compression": _COMPRESSIONS[compression], "layerflow:alphaMode": alpha}
    if clash := attributes.keys() & header.keys():
        raise ValueError(f"{sorted(clash)} of the header are written by LayerFlow itself; leave them out")
    _write_file(path, {**header, **attributes}, channels)
    return tuple(notes)


def _to_half(pixels: Pixels, *, premultiplied: bool) -> tuple[Any, layers.Repairs]:
    clean, repairs = layers.sanitise(pixels)
    if clean.shape[-1] == 4:
        clean = np.concatenate([clean[..., :3], clean[..., 3:].clip(0.0, 1.0)], axis=-1)
        clean = layers.premultiply(clean) if premultiplied else clean
    return clean.astype(np.float16), repairs


def _attributes(frame: LayerStack, data: window.Window) -> dict[str, Any]:
    form = frame.format
    attributes: dict[str, Any] = {
        "type": OpenEXR.scanlineimage,
        "displayWindow": _box(form.display_window),
        "dataWindow": _box(data),
        "pixelAspectRatio": form.pixel_aspect,
        "framesPerSecond": form.fps.limit_denominator(100_000),
        "colorInteropID": color.interop_id(frame.colorspace),
        "chromaticities": color.chromaticities(frame.colorspace),
        "layerflow:frame": str(frame.frames[0]),
        "layerflow:colorspace": frame.colorspace,
    }
    if form.timecode is not None:
        attributes["timeCode"] = OpenEXR.TimeCode(*map(int, timecode.fields(form.timecode)), *[0] * 13)
    return {name: value for name, value in attributes.items() if value is not None}


def _box(area: window.Window) -> tuple[Any, Any]:
    x, y, width, height = area
    return np.array([x, y], np.int32), np.array([x + width - 1, y + height - 1], np.int32)


def _write_file(path: Path, header: dict[str, Any], channels: dict[str, Any]) -> None:
    with atomic_path(path) as part:
        try:
            OpenEXR.File(header, channels).write(str(part))
        except RuntimeError as error:
            raise as_os_error(error) or OutputError(
                f"{path} could not be written ({error}); try another folder"
            ) from error
        if not _has_last_row(part):  # the library says nothing when the last kilobytes do not fit
            raise OutputError(f"{path} was cut short, most likely for lack of room; free some space and run again")


@dataclass(frozen=True, kw_only=True)
class _Frame:
    number: int
    layers: dict[str, Pixels]  # name -> [H, W, 3 | 4], straight
    format: PictureFormat
    colorspace: str

    def seen(self, layer: str, area: window.Window) -> Pixels:
        """A layer through a window of its own."""
        return window.reframe(self.layers[layer], self.format.working_window, area)


def read_stack(paths: Iterable[Path]) -> LayerStack:
    """The layers of EXR frames, sorted by frame; foreign layered EXRs too. Raises PlateError.

    Alpha is taken as premultiplied unless `layerflow:alphaMode` says straight.
    """
    frames = sorted((_read_frame(path, index) for index, path in enumerate(paths)), key=lambda frame: frame.number)
    if not frames:
        raise PlateError("there are no EXR frames to read; give at least one")
    first = frames[0]
    for earlier, frame in itertools.pairwise(frames):
        if frame.number == earlier.number:
            raise PlateError(f"two of the files are frame {frame.number}; give each frame once")
        if frame.layers.keys() != first.layers.keys() or frame.format.display_window != first.format.display_window:
            raise PlateError(
                f"frame {frame.number} differs from frame {first.number} in layers or size; read them apart"
            )
    working = functools.reduce(window.union, (frame.format.working_window for frame in frames))
    overscan = None if working == first.format.display_window else working
    return LayerStack(
        layers={name: np.stack([frame.seen(name, working) for frame in frames]) for name in first.layers},
        frames=tuple(frame.number for frame in frames),
        format=replace(first.format, overscan=overscan),
        colorspace=first.colorspace,
    )


def read_header(path: Path) -> dict[str, str]:
    """Every attribute of an EXR's header as text. Raises PlateError."""
    return header_texts(_open(path).spec())


def verify_frame(path: Path) -> bool:
    """Whether `path` is an EXR whose every pixel can be read."""
    try:
        _read_pixels(path, as_stored=True)
    except PlateError:
        return False
    return True


def _has_last_row(path: Path) -> bool:
    try:
        source = _open(path)
    except PlateError:
        return False
    spec = source.spec()
    return source.read_scanline(spec.y + spec.height - 1, 0, oiio.FLOAT) is not None


def _open(path: Path) -> Any:
    if not path.is_file():
        raise PlateError(f"{path} is not there; give the path of an EXR frame")
    if not OpenEXR.isOpenExrFile(str(path)):
        raise PlateError(f"{path} is not a readable EXR; render the frame again")
    source = oiio.ImageInput.open(str(path))
    if source is None:
        raise PlateError(f"{path} is not a readable EXR ({reason(oiio)}); render the frame again")
    return source


def _read_pixels(path: Path, *, as_stored: bool = False) -> tuple[Any, Pixels]:
    """The header and every channel, in float32 or `as_stored`, which takes a third less time. Raises PlateError."""
    source = _open(path)
    spec = source.spec()
    window.check_area(spec.width, spec.height, str(path))
    window.check_area(spec.full_width, spec.full_height, str(path))
    window.check_area(*_format(spec).working_window[2:], str(path))
    pixels = source.read_image(0, 0, 0, spec.nchannels, spec.format if as_stored else oiio.FLOAT)
    if pixels is None:
        raise PlateError(f"{path} is damaged ({reason(source)}); render the frame again")
    return spec, pixels


def _read_frame(path: Path, index: int) -> _Frame:
    with legible(str(path)):
        return _interpret(path, index)


def _interpret(path: Path, index: int) -> _Frame:
    spec, pixels = _read_pixels(path)
    form = _format(spec)
    framed = window.reframe(pixels, (spec.x, spec.y, spec.width, spec.height), form.working_window)
    clean, _ = layers.sanitise(framed)
    found = {name: _layer(spec, clean[..., columns]) for name, columns in _columns(spec).items()}
    if not found:
        raise PlateError(f"{path} has no red, green and blue; give a layered colour EXR")
    number = text(spec, "layerflow:frame") or "".join(re.findall(r"(\d+)\.[^.]*$", path.name))
    return _Frame(
        number=int(number) if number.isdecimal() else index + 1, layers=found, format=form, colorspace=_colorspace(spec)
    )


def _layer(spec: Any, pixels: Pixels) -> Pixels:
    straight = text(spec, "layerflow:alphaMode") == "straight" or pixels.shape[-1] == 3
    return pixels.copy() if straight else layers.unpremultiply(pixels)


def _columns(spec: Any) -> dict[str, list[int]]:
    place = {name: column for column, name in enumerate(map(plain, spec.channelnames))}
    return layer_channels(place, text(spec, "layerflow:layers"))


def _format(spec: Any) -> PictureFormat:
    data, display = reading.windows(spec)
    working = window.union(data, display) if window.intersect(data, display) else display
    return PictureFormat(
        x=display[0],
        y=display[1],
        width=display[2],
        height=display[3],
        data_window=None if data == display else data,
        overscan=None if working == display else working,
        pixel_aspect=reading.pixel_aspect(spec),
        fps=reading.fps(spec) or Fraction(24),
        timecode=reading.timecode_of(spec),
    )


def _colorspace(spec: Any) -> str:
    written = text(spec, "layerflow:colorspace")
    return color.check_name(written) if color.known(written) else reading.colorspace(spec) or color.scene_linear()
