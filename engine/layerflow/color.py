"""Colour spaces, through the OCIO config that `$OCIO` names, or the built-in ACES one with its camera spaces.

The model works in display-referred sRGB [0, 1]; layers travel scene-linear, by default ACEScg.
"""

from __future__ import annotations

import difflib
import functools
import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import OpenImageIO as oiio
from numpy.typing import NDArray

from layerflow.errors import ColorError
from layerflow.wire.color_names import CAMERA_PRIMARIES, D65

DEFAULT_LINEAR = "ACEScg"
_BUILT_IN = "ocio://studio-config-latest"  # has all of OpenImageIO's own default, and those of cameras and HDR displays
_DISPLAY_NAMES = ("sRGB - Texture", "srgb_tx", "Utility - sRGB - Texture", "sRGB", "sRGB - Display", "Output - sRGB")
_LINEAR_NAMES = ("lin_rec709", "ACEScg", "ACES2065-1", "lin_p3d65", "lin_rec2020")


def convert(pixels: NDArray[np.float32], source: str, target: str) -> NDArray[np.float32]:
    """`pixels` [..., 3 | 4] taken from colour space `source` to `target`; alpha untouched, never multiplied in.

    Raises ColorError for an unknown name.
    """
    source, target = check_name(source), check_name(target)
    if source == target or pixels.size == 0:
        return pixels.copy()
    rows = np.ascontiguousarray(pixels[..., :3], np.float32).reshape(-1, pixels.shape[-2], 3)
    result = _converted(oiio.ImageBuf(rows), source, target)
    if result.has_error:
        raise ColorError(f"{source} cannot be turned into {target} ({result.geterror()}); choose another colour space")
    out = pixels.astype(np.float32)
    out[..., :3] = np.asarray(result.get_pixels(oiio.FLOAT)).reshape(*pixels.shape[:-1], 3)
    return out


def to_display(pixels: NDArray[np.float32], source: str) -> NDArray[np.float32]:
    """Display-referred sRGB of `pixels` [..., 3 | 4], not clamped."""
    return convert(pixels, source, display_space())


def from_display(pixels: NDArray[np.float32], target: str) -> NDArray[np.float32]:
    """`pixels` [..., 3 | 4], display-referred sRGB, in colour space `target`."""
    return convert(pixels, display_space(), target)


def check_name(name: str) -> str:
    """The config's own name for a colour space, alias or role; raises ColorError listing the nearest names."""
    found = _known(name)
    if found is not None:
        return found
    near = difflib.get_close_matches(name.lower(), _all_names(), n=4, cutoff=0.4) or ["ACEScg", "sRGB - Texture"]
    names = ", ".join(dict.fromkeys(_all_names().get(key, key) for key in near))
    raise ColorError(f"there is no colour space {name!r} in the OCIO config {_config().configname()}; near it: {names}")


def display_space() -> str:
    """The config's name for display-referred (encoded) sRGB."""
    for name in _DISPLAY_NAMES:
        found = _known(name)
        if found is not None:
            return found
    raise ColorError(
        f"the OCIO config {_config().configname()} has no sRGB texture space; unset OCIO to use the built-in"
    )


def scene_linear() -> str:
    """The config's scene-linear working space (its role `scene_linear`, else ACEScg)."""
    return check_name("scene_linear" if _known("scene_linear") else DEFAULT_LINEAR)


def interop_id(name: str) -> str | None:
    """The `colorInteropID` that EXR headers carry for a colour space, e.g. `lin_ap1_scene`, or None."""
    return str(_config().get_color_interop_id(check_name(name))) or None


def chromaticities(name: str) -> tuple[float, ...] | None:
    """Red, green, blue and white x, y (8 numbers) of a scene-linear space, or None."""
    space = check_name(name)
    values = _config().get_chromaticities(space) if is_linear(space) else None
    return tuple(float(value) for value in values) if values else None


def is_linear(name: str) -> bool:
    """Whether a colour space is linear."""
    return bool(_config().isColorSpaceLinear(check_name(name)))


def has_headroom(name: str) -> bool:
    """Whether a colour space holds light above white: a linear one, a log one or an HDR display's."""
    space = check_name(name)
    if is_linear(space):
        return True
    white = to_display(np.ones((1, 1, 3), np.float32), space)
    return float(white.max()) > 1.1  # primaries wider than sRGB's come to a little above


def linear_space_of(values: Sequence[float]) -> str | None:
    """The known linear space with these eight chromaticities (within 1e-3), or None."""
    for name in filter(_known, _LINEAR_NAMES):
        known = chromaticities(name)
        if known is not None and np.allclose(known, values, atol=1e-3):
            return check_name(name)
    for name, primaries in CAMERA_PRIMARIES.items():
        if _known(name) and np.allclose((*primaries, *D65), values, atol=1e-3):
            return check_name(name)
    return None


def space_of_header(interop: str, values: Sequence[float] | None) -> str | None:
    """The colour space an EXR header names: by its `colorInteropID`, else by its chromaticities, else None."""
    if _known(interop):
        return check_name(interop)
    return linear_space_of(values) if values is not None and len(values) == 8 else None


def known(name: str) -> bool:
    """Whether the config has a colour space, alias or role of this name."""
    return _known(name) is not None


def first_known(names: Iterable[str]) -> str | None:
    """The colour space of the first of `names` that the config has, as it calls it, or None."""
    return next((check_name(name) for name in names if known(name)), None)


def _known(name: str) -> str | None:
    if not name:
        return None
    found = str(_config().resolve(name))
    return found if _config().getColorSpaceIndex(found) >= 0 else None


def _converted(picture: oiio.ImageBuf, source: str, target: str) -> oiio.ImageBuf:
    """By OpenImageIO's default config where that knows both names.

    It parses any config that it is told of again in every call, which takes 20 ms, be it the default by an empty name.
    """
    if os.environ.get("OCIO") or _default_names().issuperset((source, target)):
        return oiio.ImageBufAlgo.colorconvert(picture, source, target, unpremult=False)
    return oiio.ImageBufAlgo.colorconvert(picture, source, target, unpremult=False, colorconfig=_BUILT_IN)


@functools.cache
def _default_names() -> frozenset[str]:
    return frozenset(oiio.ColorConfig().getColorSpaceNames())


@functools.cache
def _config() -> Any:
    config = oiio.ColorConfig() if os.environ.get("OCIO") else oiio.ColorConfig(_BUILT_IN)
    if error := config.geterror():
        raise ColorError(f"the OCIO config in $OCIO cannot be read ({error}); correct the path or unset OCIO")
    return config


@functools.cache
def _all_names() -> dict[str, str]:
    """Lower-case name, alias or role -> as the config writes it."""
    config = _config()
    names = [*config.getColorSpaceNames(), *config.getRoles()]
    aliases = [alias for name in config.getColorSpaceNames() for alias in config.getAliases(name)]
    return {name.lower(): name for name in [*aliases, *names]}
