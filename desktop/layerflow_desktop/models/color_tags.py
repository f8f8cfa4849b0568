"""Colour spaces by what files say of them, as the engine takes them: headers, profiles, code points, cameras."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from layerflow_desktop.models import color

_UNSAID = 2
_LINEAR_709 = ("lin_rec709_scene", "lin_rec709")
_BY_CODE = {  # primaries and transfer of ITU-T H.273 -> names in newer and older configs
    (1, 4): ("g22_rec709_scene", "g22_rec709_tx"),
    (1, 8): _LINEAR_709,
    (9, 8): ("lin_rec2020_scene", "lin_rec2020"),
    (12, 8): ("lin_p3d65_scene", "lin_p3d65"),
    (9, 16): ("pq_rec2020_display", "rec2100_pq_display"),
    (12, 16): ("pq_p3d65_display", "st2084_p3d65_display"),
    (9, 18): ("hlg_rec2020_display", "rec2100_hlg_display"),
    (12, 1): ("srgb_p3d65_scene", "srgb_p3d65"),
    (12, 13): ("srgb_p3d65_scene", "srgb_p3d65"),
}
_BY_PROFILE = {
    "display p3": ("srgb_p3d65_scene", "srgb_p3d65"),
    "adobe rgb (1998)": ("g22_adobergb_scene",),
}
_LOGC3, _LOGC4 = ("arri_logc3_ei800", "logc3ei800_alexawide"), ("arri_logc4",)
_BY_ARRI_CURVE = {"LOGC": _LOGC3, "LOGC3": _LOGC3, "LOGC4": _LOGC4}
_ARRI_CURVE = "com.arri.camera.colorgammasxs"
_CAMERA_PRIMARIES = {  # red, green, blue and white x, y
    "lin_alexawide": (0.684, 0.313, 0.221, 0.848, 0.0861, -0.102),
    "lin_awg4": (0.7347, 0.2653, 0.1424, 0.8576, 0.0991, -0.0308),
    "lin_sgamut3": (0.73, 0.28, 0.14, 0.855, 0.1, -0.05),
    "lin_sgamut3cine": (0.766, 0.275, 0.225, 0.8, 0.089, -0.087),
    "lin_vgamut": (0.73, 0.28, 0.165, 0.84, 0.1, -0.03),
    "lin_rwg": (0.780308, 0.304253, 0.121595, 1.493994, 0.095612, -0.084589),
    "lin_davinci_widegamut": (0.8, 0.313, 0.1682, 0.9877, 0.079, -0.1155),
}
_D65 = (0.3127, 0.329)


def of_layered(spec: Any) -> str:
    """The colour space of layers that LayerFlow wrote, by an ImageSpec."""
    own = color.known(spec.get_string_attribute("layerflow:colorspace"))
    return own or _of_header(spec) or color.scene_linear()


def of_image(spec: Any, kind: str) -> str:
    """The colour space of an image, by its ImageSpec: what it says, else sRGB of whole numbers and linear of floats."""
    assumed = color.display_space if str(spec.format).startswith("uint") else color.scene_linear
    return _said(spec, kind) or assumed()


def of_movie(primaries: int, transfer: int, tags: Mapping[str, str]) -> str:
    """The colour space of a movie, by its code points and tags: sRGB for ordinary video, which is how it is seen."""
    curve = {name.lower(): value for name, value in tags.items()}.get(_ARRI_CURVE, "")
    plain = curve.upper().replace("-", "").replace(" ", "")
    if plain in _BY_ARRI_CURVE:
        return color.first_known(_BY_ARRI_CURVE[plain]) or color.display_space()
    if primaries == _UNSAID and transfer in (16, 18):
        primaries = 9  # as HDR is delivered
    return color.first_known(_BY_CODE.get((primaries, transfer), ())) or color.display_space()


def _said(spec: Any, kind: str) -> str | None:
    if kind == "dpx":  # its reader names a space whatever the file says
        return color.first_known(_LINEAR_709) if spec.get_string_attribute("dpx:Transfer") == "Linear" else None
    if kind == "openexr" and spec.get_int_attribute("acesImageContainerFlag", 0) == 1:
        return color.first_known(("lin_ap0_scene", "ACES2065-1"))
    if spec.getattribute("CICP") is not None:  # of a PNG; it counts more than a profile
        return _of_header(spec)
    profile = spec.get_string_attribute("ICCProfile:profile_description").strip("\0 ").lower()
    space = color.first_known(_BY_PROFILE.get(profile, ()))
    return _of_header(spec) if space is None and kind != "jpeg" else space


def _of_header(spec: Any) -> str | None:
    space = color.known(spec.get_string_attribute("oiio:ColorSpace"))
    values = spec.getattribute("chromaticities")
    if space is not None or values is None or len(values) != 8:
        return space
    return color.space_of_primaries(values) or _of_camera(values)


def _of_camera(values: Any) -> str | None:
    near = [name for name, own in _CAMERA_PRIMARIES.items() if np.allclose((*own, *_D65), values, atol=1e-3)]
    return color.first_known(near)
