"""Colour spaces by what files say of them: a movie's code points, a DPX's transfer, profiles, cameras' curves."""

from __future__ import annotations

from collections.abc import Mapping

from layerflow import color

_PRIMARIES = {9: "Rec. 2020", 11: "DCI-P3", 12: "Display P3"}
_CURVES = {8: "linear", 16: "PQ", 18: "HLG"}
_BY_CODE = {  # primaries and transfer of ITU-T H.273 -> the config's name
    (1, 4): "g22_rec709_scene",
    (1, 8): "lin_rec709_scene",
    (9, 8): "lin_rec2020_scene",
    (12, 8): "lin_p3d65_scene",
    (9, 16): "pq_rec2020_display",
    (12, 16): "pq_p3d65_display",
    (9, 18): "hlg_rec2020_display",
    (12, 1): "srgb_p3d65_scene",
    (12, 13): "srgb_p3d65_scene",
}
_UNSAID = 2
_BY_PROFILE = {"display p3": "srgb_p3d65_scene", "adobe rgb (1998)": "g22_adobergb_scene"}
_LOGC3, _LOGC4 = "logc3ei800_alexawide", "arri_logc4"
_LOGC3_INDEX = "800"
_ARRI = "com.arri.camera."


def of_code_points(primaries: int, transfer: int) -> tuple[str, str]:
    """The colour space of a movie's code points, and a note where that is a guess.

    Ordinary video, in Rec. 709 or untagged, is taken as sRGB, which is how it is looked at.
    """
    if primaries == _UNSAID and transfer in (16, 18):
        primaries = 9  # as HDR is delivered
    name = _BY_CODE.get((primaries, transfer))
    if name and color.known(name):
        return color.check_name(name), ""
    gamut, curve = _PRIMARIES.get(primaries), _CURVES.get(transfer)
    own = " ".join(filter(None, (gamut, curve)))
    note = f"is {own} but read as sRGB; name its colour space with --colorspace" if own else ""
    return color.display_space(), note


def of_camera(tags: Mapping[str, str]) -> tuple[str | None, str]:
    """The log space that an ARRI camera's movie says it has, or None, and a note where that is a guess."""
    said = {name.lower().removeprefix(_ARRI): value for name, value in tags.items()}
    curve = said.get("colorgammasxs", "").upper().replace("-", "").replace(" ", "")
    name = {"LOGC": _LOGC3, "LOGC3": _LOGC3, "LOGC4": _LOGC4}.get(curve)
    if name is None or not color.known(name):
        return None, f"is {curve} but read as sRGB; name its colour space with --colorspace" if name else ""
    index = said.get("exposureindexasa", _LOGC3_INDEX)
    other = name == _LOGC3 and index != _LOGC3_INDEX
    note = f"was exposed at EI {index[:16]} but is read as {color.check_name(name)}" if other else ""
    return color.check_name(name), note


def of_transfer(transfer: str) -> tuple[str | None, str]:
    """The colour space of a DPX by its header's `transfer`, or None, and a note where that is a guess."""
    if transfer == "Linear" and color.known("lin_rec709_scene"):
        space = color.check_name("lin_rec709_scene")
        return space, f"is linear by its header; taken as {space}"
    if transfer in ("Logarithmic", "Printing density"):
        return None, "is log by its header, which does not say whose; taken as sRGB, name it with --colorspace"
    return None, ""


def of_profile(description: str) -> tuple[str | None, str]:
    """The colour space of an ICC profile by its `description`, or None, and a note where the profile is left out."""
    name = _BY_PROFILE.get(description.strip("\0 ").lower())
    if name and color.known(name):
        return color.check_name(name), ""
    plain = not description.strip("\0 ") or "srgb" in description.lower()
    return None, "" if plain else (
        f"has the profile {description[:60]!r}, which is not read; name its colour space with --colorspace"
    )
