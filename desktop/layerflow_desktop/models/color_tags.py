"""Colour spaces by what files say of them, as the engine takes them: headers, profiles, code points, cameras."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from layerflow.wire import color_names
from layerflow_desktop.models import color


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
    curve = color_names.of_arri_curve(color_names.arri_curve(tags))
    if curve:
        return color.first_known(curve) or color.display_space()
    return color.first_known(color_names.of_code_points(primaries, transfer)) or color.display_space()


def _said(spec: Any, kind: str) -> str | None:
    if kind == "dpx":  # its reader names a space whatever the file says
        return (
            color.first_known(color_names.LINEAR_REC709)
            if spec.get_string_attribute("dpx:Transfer") == "Linear"
            else None
        )
    if kind == "openexr" and spec.get_int_attribute("acesImageContainerFlag", 0) == 1:
        return color.first_known(("lin_ap0_scene", "ACES2065-1"))
    if spec.getattribute("CICP") is not None:  # of a PNG; it counts more than a profile
        return _of_header(spec)
    profile = spec.get_string_attribute("ICCProfile:profile_description")
    space = color.first_known(color_names.of_profile(profile))
    return _of_header(spec) if space is None and kind != "jpeg" else space


def _of_header(spec: Any) -> str | None:
    space = color.known(spec.get_string_attribute("oiio:ColorSpace"))
    values = spec.getattribute("chromaticities")
    if space is not None or values is None or len(values) != 8:
        return space
    return color.space_of_primaries(values) or _of_camera(values)


def _of_camera(values: Any) -> str | None:
    near = [
        name
        for name, own in color_names.CAMERA_PRIMARIES.items()
        if np.allclose((*own, *color_names.D65), values, atol=1e-3)
    ]
    return color.first_known(near)
