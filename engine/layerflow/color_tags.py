"""Colour spaces by what files say of them: a movie's code points, a DPX's transfer, profiles, cameras' curves."""

from __future__ import annotations

from collections.abc import Mapping

from layerflow import color

_PRIMARIES = {9: "Rec. 2020", 11: "DCI-P3", 12: "Display P3"}
_CURVES = {8: "linear", 16: "PQ", 18: "HLG"}
_BY_CODE = {  # primaries and transfer of ITU-T H.273 -> names in newer and older configs
    (1, 4): ("g22_rec709_scene", "g22_rec709_tx"),
    (1, 8): ("lin_rec709_scene", "lin_rec709"),
    (9, 8): ("lin_rec2020_scene", "lin_rec2020"),
    (12, 8): ("lin_p3d65_scene", "lin_p3d65"),
    (9, 16): ("pq_rec2020_display", "rec2100_pq_display"),
    (12, 16): ("pq_p3d65_display", "st2084_p3d65_display"),
    (9, 18): ("hlg_rec2020_display", "rec2100_hlg_display"),
    (12, 1): ("srgb_p3d65_scene", "srgb_p3d65"),
    (12, 13): ("srgb_p3d65_scene", "srgb_p3d65"),
}
_UNSAID = 2
_BY_PROFILE = {
    "display p3": ("srgb_p3d65_scene", "srgb_p3d65"),
    "adobe rgb (1998)": ("g22_adobergb_scene",),
}
_LOGC3, _LOGC4 = ("arri_logc3_ei800", "logc3ei800_alexawide"), ("arri_logc4",)
_LOGC3_INDEX = "800"
_ARRI = "com.arri.camera."


def of_code_points(primaries: int, transfer: int, *, bits: int = 8) -> tuple[str, str]:
    """The colour space of a movie's code points, and a note where that is a guess.

    Ordinary video, in Rec. 709 or untagged, is taken as sRGB, which is how it is looked at; without any tag and with
    more than 8 `bits` it might be log.
    """
    if primaries == _UNSAID and transfer in (16, 18):
        primaries = 9  # as HDR is delivered
    if space := color.first_known(_BY_CODE.get((primaries, transfer), ())):
        return space, ""
    gamut, curve = _PRIMARIES.get(primaries), _CURVES.get(transfer)
    own = " ".join(filter(None, (gamut, curve)))
    if primaries == transfer == _UNSAID and bits > 8:
        return (
            color.display_space(),
            "does not say its colour space; taken as sRGB, name it with --colorspace if it is log",
        )
    note = f"is {own} but read as sRGB; name its colour space with --colorspace" if own else ""
    return color.display_space(), note


def of_camera(tags: Mapping[str, str]) -> tuple[str | None, str]:
    """The log space that an ARRI camera's movie says it has, or None, and a note where that is a guess."""
    said = {name.lower().removeprefix(_ARRI): value for name, value in tags.items()}
    curve = said.get("colorgammasxs", "").upper().replace("-", "").replace(" ", "")
    names = {"LOGC": _LOGC3, "LOGC3": _LOGC3, "LOGC4": _LOGC4}.get(curve, ())
    space = color.first_known(names)
    if space is None:
        return None, f"is {curve} but read as sRGB; name its colour space with --colorspace" if names else ""
    index = said.get("exposureindexasa", _LOGC3_INDEX)
    other = names == _LOGC3 and index != _LOGC3_INDEX
    return space, f"was exposed at EI {index[:16]} but is read as {space}" if other else ""


def of_transfer(transfer: str) -> tuple[str | None, str]:
    """The colour space of a DPX by its header's `transfer`, or None, and a note where that is a guess."""
    if transfer == "Linear" and (space := color.first_known(_BY_CODE[1, 8])):
        return space, f"is linear by its header; taken as {space}"
    if transfer in ("Logarithmic", "Printing density"):
        return None, "is log by its header, which does not say whose; taken as sRGB, name it with --colorspace"
    return None, ""


def of_profile(description: str) -> tuple[str | None, str]:
    """The colour space of an ICC profile by its `description`, or None, and a note where the profile is left out."""
    if space := color.first_known(_BY_PROFILE.get(description.strip("\0 ").lower(), ())):
        return space, ""
    plain = not description.strip("\0 ") or "srgb" in description.lower()
    return None, "" if plain else (
        f"has the profile {description[:60]!r}, which is not read; name its colour space with --colorspace"
    )
