"""Colour spaces and displays, by the OCIO config that the engine has too: that of `$OCIO`, or a built-in one.

OpenImageIO, which the engine asks, and PyOpenColorIO each carry configs of their own; of the built-in ones the newest
that both have is taken, so that the names are the same here and there.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import OpenImageIO as oiio
import PyOpenColorIO as ocio
from numpy.typing import NDArray

from layerflow_desktop.models.picture import Floats, Half

_DISPLAY_NAMES = ("sRGB - Texture", "srgb_tx", "Utility - sRGB - Texture", "sRGB", "sRGB - Display", "Output - sRGB")
_LINEAR_NAMES = ("lin_rec709", "ACEScg", "ACES2065-1", "lin_p3d65", "lin_rec2020")
_HALF_MAX = 65504.0

OCIO_ERRORS = (ocio.Exception, ocio.ExceptionMissingFile)


class ColorError(ValueError):
    """A colour space or config that is not there; one sentence that says what to do."""


def config() -> ocio.Config:
    """The OCIO config. Raises ColorError."""
    return _config(os.environ.get("OCIO", ""))


def known(name: str) -> str | None:
    """The config's own name for a colour space, alias or role; None where it has none."""
    names = _names(_config_text(os.environ.get("OCIO", "")))
    found = str(names.resolve(name)) if name else ""
    return found if found and names.getColorSpaceIndex(found) >= 0 and config().getColorSpace(found) else None


def first_known(names: Iterable[str]) -> str | None:
    """The first of `names` that the config has, as it calls it."""
    return next(filter(None, map(known, names)), None)


def check_name(name: str) -> str:
    """The config's own name for a colour space; raises ColorError."""
    found = known(name)
    if found is None:
        raise ColorError(f"there is no colour space {name!r} in the OCIO config; choose one that it has")
    return found


def display_space() -> str:
    """Display-referred (encoded) sRGB, as the config calls it."""
    found = first_known(_DISPLAY_NAMES)
    if found is None:
        raise ColorError("the OCIO config has no sRGB texture space; unset OCIO to use the built-in one")
    return found


def scene_linear() -> str:
    """The config's role `scene_linear`, else ACEScg."""
    return check_name("scene_linear" if known("scene_linear") else "ACEScg")


def space_of_primaries(values: Sequence[float]) -> str | None:
    """The linear space with these eight chromaticities, within 1e-3."""
    names = _names(_config_text(os.environ.get("OCIO", "")))
    for space in filter(None, map(known, _LINEAR_NAMES)):
        own = names.get_chromaticities(space)
        if own and len(values) == 8 and np.allclose(own, values, atol=1e-3):
            return space
    return None


def convert(pixels: Floats, source: str, target: str) -> Floats:
    """`pixels` [..., 3 | 4], straight, from one space to another, in the same memory where it is contiguous."""
    pixels = np.ascontiguousarray(pixels, np.float32)
    if source != target and pixels.size:
        processor = _converter(os.environ.get("OCIO", ""), source, target)
        (processor.applyRGBA if pixels.shape[-1] == 4 else processor.applyRGB)(pixels)
    return pixels


def half_of_code_values(pixels: NDArray[np.uint16], source: str, target: str) -> Half:
    """Half floats in `target` of code values [H, W, 3 | 4] of 16 bits in `source`; alpha straight, untouched."""
    height, width, num_channels = pixels.shape
    pixels, out = np.ascontiguousarray(pixels), np.empty(pixels.shape, np.float16)
    images = [
        ocio.PackedImageDesc(data, width, height, num_channels, depth, 2, 2 * num_channels, 2 * num_channels * width)
        for data, depth in ((pixels, ocio.BIT_DEPTH_UINT16), (out, ocio.BIT_DEPTH_F16))
    ]
    _code_converter(os.environ.get("OCIO", ""), source, target).apply(*images)
    return out


def to_half(pixels: Floats) -> Half:
    """Half floats of `pixels`, finite: NaN is 0, what is too large is +-65504."""
    return finite(pixels).astype(np.float16)


def finite(pixels: Floats) -> Floats:
    """`pixels` within what half floats hold, in the same memory: NaN is 0, what is too large is +-65504."""
    if not np.abs(pixels).max(initial=0.0) <= _HALF_MAX:  # of NaN too
        np.nan_to_num(pixels, copy=False, nan=0.0, posinf=_HALF_MAX, neginf=-_HALF_MAX)
        np.clip(pixels, -_HALF_MAX, _HALF_MAX, out=pixels)
    return pixels


@functools.cache
def _config(path: str) -> ocio.Config:
    try:
        text = _config_text(path)
        _names(text).resolve("scene_linear")  # takes a while, with the interpreter's lock: rather now than at a job
        return ocio.Config.CreateFromFile(text)
    except OCIO_ERRORS as error:
        raise ColorError(
            f"the OCIO config in $OCIO cannot be read ({error}); correct the path or unset OCIO"
        ) from error


@functools.cache
def _config_text(path: str) -> str:
    """What both libraries read the config by."""
    if path:
        return path
    built_in = [name for name in ocio.BuiltinConfigRegistry() if name.startswith("studio-config-")]
    both = [name for name in built_in if not oiio.ColorConfig(f"ocio://{name}").geterror()]
    return f"ocio://{max(both, key=_version)}" if both else "ocio://studio-config-latest"


def _version(name: str) -> tuple[int, ...]:
    return tuple(int(number) for number in name.split("_")[0].removeprefix("studio-config-v").split("."))


@functools.cache
def _names(text: str) -> Any:
    return oiio.ColorConfig(text)


@functools.cache
def _converter(path: str, source: str, target: str) -> ocio.CPUProcessor:
    return _processor(path, source, target).getDefaultCPUProcessor()


@functools.cache
def _code_converter(path: str, source: str, target: str) -> ocio.CPUProcessor:
    return _processor(path, source, target).getOptimizedCPUProcessor(
        ocio.BIT_DEPTH_UINT16, ocio.BIT_DEPTH_F16, ocio.OPTIMIZATION_DEFAULT
    )


def _processor(path: str, source: str, target: str) -> ocio.Processor:
    try:
        return _config(path).getProcessor(source, target)
    except OCIO_ERRORS as error:
        raise ColorError(f"{source} cannot be turned into {target} ({error}); choose another colour space") from error
