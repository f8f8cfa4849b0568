"""Colour spaces by what files say of them: a movie's code points, a DPX's transfer, profiles, cameras' curves."""

from __future__ import annotations

from collections.abc import Mapping

from layerflow import color
from layerflow.wire import color_names
from layerflow.wire.color_names import UNSAID

_PRIMARIES = {9: "Rec. 2020", 11: "DCI-P3", 12: "Display P3"}
_CURVES = {8: "linear", 16: "PQ", 18: "HLG"}
_LOGC3_INDEX = "800"


def of_code_points(primaries: int, transfer: int, *, bits: int = 8) -> tuple[str, str]:
    """The colour space of a movie's code points, and a note where that is a guess.

    Ordinary video, in Rec. 709 or untagged, is taken as sRGB, which is how it is looked at; without any tag and with
    more than 8 `bits` it might be log.
    """
    primaries, transfer = color_names.whole_code_points(primaries, transfer)
    if space := color.first_known(color_names.of_code_points(primaries, transfer)):
        return space, ""
    gamut, curve = _PRIMARIES.get(primaries), _CURVES.get(transfer)
    own = " ".join(filter(None, (gamut, curve)))
    if primaries == transfer == UNSAID and bits > 8:
        return (
            color.display_space(),
            "does not say its colour space; taken as sRGB, name it with --colorspace if it is log",
        )
    note = f"is {own} but read as sRGB; name its colour space with --colorspace" if own else ""
    return color.display_space(), note


def of_camera(tags: Mapping[str, str]) -> tuple[str | None, str]:
    """The log space that an ARRI camera's movie says it has, or None, and a note where that is a guess."""
    curve = color_names.arri_curve(tags)
    names = color_names.of_arri_curve(curve)
    space = color.first_known(names)
    if space is None:
        return None, f"is {curve} but read as sRGB; name its colour space with --colorspace" if names else ""
    said = {name.lower().removeprefix(color_names.ARRI): value for name, value in tags.items()}
    index = said.get("exposureindexasa", _LOGC3_INDEX)
    other = names == color_names.LOGC3 and index != _LOGC3_INDEX
    return space, f"was exposed at EI {index[:16]} but is read as {space}" if other else ""


def of_transfer(transfer: str) -> tuple[str | None, str]:
    """The colour space of a DPX by its header's `transfer`, or None, and a note where that is a guess."""
    if transfer == "Linear" and (space := color.first_known(color_names.LINEAR_REC709)):
        return space, f"is linear by its header; taken as {space}"
    if transfer in ("Logarithmic", "Printing density"):
        return None, "is log by its header, which does not say whose; taken as sRGB, name it with --colorspace"
    return None, ""


def of_profile(description: str) -> tuple[str | None, str]:
    """The colour space of an ICC profile by its `description`, or None, and a note where the profile is left out."""
    if space := color.first_known(color_names.of_profile(description)):
        return space, ""
    plain = not description.strip("\0 ") or "srgb" in description.lower()
    return None, "" if plain else (
        f"has the profile {description[:60]!r}, which is not read; name its colour space with --colorspace"
    )
