"""What a picture file's header says, whatever is in it: damage becomes a sentence, nonsense becomes None."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from layerflow import color, color_tags, timecode
from layerflow.errors import PlateError
from layerflow.window import Window


def reason(source: Any) -> str:
    """Why `source` (an ImageInput, or the OpenImageIO module when there is none) failed, in one line."""
    try:
        lines = source.geterror().strip().splitlines()
    except UnicodeDecodeError:  # it quotes the damaged bytes
        return "its header is garbled"
    return lines[0].strip() if lines else "no reason given"


@contextlib.contextmanager
def legible(label: str) -> Iterator[None]:
    """Turns names in the header that are not text into a PlateError about `label`."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise PlateError(f"{label} is damaged (its header is garbled); render or copy it again") from error


def text(spec: Any, name: str) -> str:
    """An attribute of an ImageSpec as text, empty when it is not there; bytes that are not UTF-8 become U+FFFD."""
    return plain(spec.get_string_attribute(name))


def plain(words: str) -> str:
    """`words` of a file header, with bytes that are not UTF-8 as U+FFFD, so that it can be printed and sent."""
    return words.encode(errors="surrogateescape").decode(errors="replace")


def header_texts(spec: Any) -> dict[str, str]:
    """Every attribute of an ImageSpec as text, but those with a garbled name."""
    return {found.name: text(spec, found.name) for found in spec.extra_attribs if found.name.isprintable()}


def windows(spec: Any) -> tuple[Window, Window]:
    """Data window and display window."""
    return (spec.x, spec.y, spec.width, spec.height), (spec.full_x, spec.full_y, spec.full_width, spec.full_height)


def pixel_aspect(spec: Any) -> float:
    """Width by height of a pixel; 1 when the header says nothing or nonsense."""
    aspect = float(spec.get_float_attribute("PixelAspectRatio", 1.0))
    return aspect if np.isfinite(aspect) and 0.1 <= aspect <= 10 else 1.0


def fps(spec: Any) -> Fraction | None:
    """Frames per second, or None when the header does not say."""
    pair = spec.getattribute("framesPerSecond")
    if isinstance(pair, tuple) and len(pair) == 2 and pair[0] > 0 and pair[1] > 0:
        return Fraction(*pair)
    rates = (spec.get_float_attribute(name, 0.0) for name in ("framesPerSecond", "dpx:FrameRate", "dpx:TVFrameRate"))
    return next((timecode.as_fps(rate) for rate in rates if np.isfinite(rate) and 1 <= rate <= 1000), None)


def timecode_of(spec: Any) -> str | None:
    """The frame's timecode, or None."""
    code = text(spec, "smpte:TimeCode")
    return code if timecode.is_timecode(code) else None


def colorspace(spec: Any) -> str | None:
    """The colour space the header names, as the OCIO config calls it, or None."""
    return color.space_of_header(text(spec, "oiio:ColorSpace"), spec.getattribute("chromaticities"))


def colorspace_of_file(spec: Any, kind: str) -> tuple[str | None, str]:
    """The colour space that a file of `kind` says it has, or None, and a note where that is a guess.

    DPX and JPEG readers name one whatever the file says.
    """
    if kind == "dpx":
        return color_tags.of_transfer(text(spec, "dpx:Transfer"))
    if kind == "openexr" and spec.get_int_attribute("acesImageContainerFlag", 0) == 1:
        return color.first_known(("lin_ap0_scene", "ACES2065-1")), ""
    if spec.getattribute("CICP") is not None:  # of a PNG; it counts more than a profile
        return colorspace(spec), ""
    space, note = color_tags.of_profile(text(spec, "ICCProfile:profile_description"))
    return (colorspace(spec) if space is None and kind != "jpeg" else space), note
