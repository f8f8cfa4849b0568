"""One image file: what its header says, and its pixels as the display window shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio

from layerflow_desktop.models.picture import ClipError, Floats, Half

Window = tuple[int, int, int, int]  # x, y, width, height

MAX_PIXELS = 1 << 27
_MAX_PARTS = 64
_HALF_MAX = 65504.0
_INFINITY, _MINUS_INFINITY = 0x7C00, 0xFC00  # of half floats, as bits; NaN lies beyond both


@dataclass(frozen=True, eq=False)
class Part:
    """A header that was read, and its place in the file."""

    spec: Any
    number: int
    kind: str  # of file: "openexr", "png", ...

    @property
    def data(self) -> Window:
        """What the file holds."""
        return self.spec.x, self.spec.y, self.spec.width, self.spec.height

    @property
    def display(self) -> Window:
        """What is shown."""
        return self.spec.full_x, self.spec.full_y, self.spec.full_width, self.spec.full_height

    @property
    def channels(self) -> dict[str, int]:
        """Channel -> its place."""
        return {plain(name): place for place, name in enumerate(self.spec.channelnames)}

    @property
    def pixel_aspect(self) -> float:
        """Width by height of a pixel."""
        aspect = float(self.spec.get_float_attribute("PixelAspectRatio", 1.0))
        return aspect if np.isfinite(aspect) and 0.1 <= aspect <= 10 else 1.0

    @property
    def fps(self) -> float:
        """Frames per second; 24 where the file does not say."""
        pair = self.spec.getattribute("framesPerSecond")
        if isinstance(pair, tuple) and len(pair) == 2 and pair[0] > 0 and pair[1] > 0:
            return float(pair[0] / pair[1])
        names = ("framesPerSecond", "dpx:FrameRate", "dpx:TVFrameRate")
        rates = [float(self.spec.get_float_attribute(name, 0.0)) for name in names]
        return next((rate for rate in rates if np.isfinite(rate) and 1 <= rate <= 1000), 24.0)

    def text(self, name: str) -> str:
        """An attribute as text; empty where it is not there."""
        return plain(self.spec.get_string_attribute(name))

    def texts(self) -> dict[str, str]:
        """Every attribute as text."""
        return {found.name: self.text(found.name) for found in self.spec.extra_attribs if found.name.isprintable()}


def read_parts(path: Path, label: str) -> list[Part]:
    """The headers in a file. Raises ClipError, which calls the file `label`."""
    try:
        source = _open(path, label)
        kind = str(source.format_name())
        parts: list[Part] = []
        while len(parts) < _MAX_PARTS and source.seek_subimage(len(parts), 0):
            parts.append(Part(source.spec(), len(parts), kind))
            _check(parts[-1], label)
    except UnicodeDecodeError as error:
        raise _damaged(label, "its header is garbled") from error
    return parts


def read_pixels(path: Path, label: str, part: Part, columns: Sequence[int], *, as_half: bool) -> Any:
    """Channels `columns` [H, W, C] of a file's display window, half or float. Raises ClipError."""
    source = _open(path, label)
    if not source.seek_subimage(part.number, 0):
        raise _damaged(label, "it changed while it was read")
    first, last = min(columns), max(columns) + 1
    if part.kind == "jpeg" and not _has_jpeg_end(path):  # decoders fill the rest with grey
        raise _damaged(label, "it has no end")
    pixels = source.read_image(part.number, 0, first, last, oiio.HALF if as_half else oiio.FLOAT)
    if pixels is None or pixels.shape[:2] != (part.data[3], part.data[2]):
        raise _damaged(label, _reason(source))
    wanted = [column - first for column in columns]
    if wanted != list(range(last - first)):
        pixels = pixels[..., wanted]
    return reframed(pixels, part.data, part.display)


def reframed(pixels: Any, data: Window, display: Window) -> Any:
    """`pixels` of the window `data` through the window `display`: cropped, and 0 where there are none."""
    if data == display:
        return pixels
    out = np.zeros((display[3], display[2], pixels.shape[-1]), pixels.dtype)
    left, top = max(data[0], display[0]), max(data[1], display[1])
    right, bottom = min(data[0] + data[2], display[0] + display[2]), min(data[1] + data[3], display[1] + display[3])
    if right > left and bottom > top:
        out[top - display[1] : bottom - display[1], left - display[0] : right - display[0]] = pixels[
            top - data[1] : bottom - data[1], left - data[0] : right - data[0]
        ]
    return out


def straight_of(premultiplied: Floats) -> Floats:
    """Straight RGBA, in the same memory, of premultiplied RGBA; a colour without alpha stays as it is (a glow)."""
    alpha = premultiplied[..., 3]
    with np.errstate(over="ignore"):
        for channel in range(3):
            np.divide(premultiplied[..., channel], alpha, out=premultiplied[..., channel], where=alpha > 0)
    return premultiplied


def finite(pixels: Half) -> Half:
    """Contiguous half pixels, in the same memory where that can be: NaN is 0, infinity is +-65504."""
    pixels = np.ascontiguousarray(pixels, np.float16)
    bits = pixels.view(np.uint16)  # thirty times as fast to look at as the floats
    if pixels.size and (bits.max() >= _MINUS_INFINITY or bits.view(np.int16).max() >= _INFINITY):
        np.nan_to_num(pixels, copy=False, nan=0.0, posinf=_HALF_MAX, neginf=-_HALF_MAX)
    return pixels


def plain(words: str) -> str:
    """Words of a header, that can be shown whatever is in them."""
    return words.encode(errors="surrogateescape").decode(errors="replace")


def _open(path: Path, label: str) -> Any:
    if not path.is_file():
        raise ClipError(f"{label} is not there any more; render it again or choose another clip")
    how = oiio.ImageSpec()
    how.attribute("oiio:UnassociatedAlpha", 1)  # straight stays straight
    source = oiio.ImageInput.open(str(path), how)
    if source is None:
        raise _damaged(label, _reason(oiio))
    return source


def _check(part: Part, label: str) -> None:
    width, height = max(part.data[2], part.display[2]), max(part.data[3], part.display[3])
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise ClipError(f"{label} says it is {width}x{height} pixels, which is too much; scale it down")
    if part.spec.deep:
        raise ClipError(f"{label} is a deep EXR; flatten it first")


def _damaged(label: str, why: str) -> ClipError:
    return ClipError(f"{label} is damaged or cut short ({why}); render or copy it again")


def _reason(source: Any) -> str:
    try:
        lines = source.geterror().strip().splitlines()
    except UnicodeDecodeError:
        return "its header is garbled"
    return lines[0].strip() if lines else "no reason given"


def _has_jpeg_end(path: Path) -> bool:
    content = path.read_bytes()
    return content.rfind(b"\xff\xd9") > content.rfind(b"\xff\xda")
