"""What files say of their colour, as the names that OCIO configs have for it: tables that engine and hosts share.

Of several names the first that a config knows is meant: newer configs come first.
"""

from __future__ import annotations

from typing import Mapping, Tuple

Names = Tuple[str, ...]

UNSAID = 2  # the code point of ITU-T H.273 for "unspecified"
LINEAR_REC709 = ("lin_rec709_scene", "lin_rec709")

BY_CODE = {  # primaries and transfer of ITU-T H.273
    (1, 4): ("g22_rec709_scene", "g22_rec709_tx"),
    (1, 8): LINEAR_REC709,
    (9, 8): ("lin_rec2020_scene", "lin_rec2020"),
    (12, 8): ("lin_p3d65_scene", "lin_p3d65"),
    (9, 16): ("pq_rec2020_display", "rec2100_pq_display"),
    (12, 16): ("pq_p3d65_display", "st2084_p3d65_display"),
    (9, 18): ("hlg_rec2020_display", "rec2100_hlg_display"),
    (12, 1): ("srgb_p3d65_scene", "srgb_p3d65"),
    (12, 13): ("srgb_p3d65_scene", "srgb_p3d65"),
}
BY_PROFILE = {
    "display p3": ("srgb_p3d65_scene", "srgb_p3d65"),
    "adobe rgb (1998)": ("g22_adobergb_scene",),
}
CAMERA_PRIMARIES = {  # red, green and blue x, y, as their makers publish them; all have the white of D65
    "lin_alexawide": (0.684, 0.313, 0.221, 0.848, 0.0861, -0.102),
    "lin_awg4": (0.7347, 0.2653, 0.1424, 0.8576, 0.0991, -0.0308),
    "lin_sgamut3": (0.73, 0.28, 0.14, 0.855, 0.1, -0.05),
    "lin_sgamut3cine": (0.766, 0.275, 0.225, 0.8, 0.089, -0.087),
    "lin_vgamut": (0.73, 0.28, 0.165, 0.84, 0.1, -0.03),
    "lin_rwg": (0.780308, 0.304253, 0.121595, 1.493994, 0.095612, -0.084589),
    "lin_davinci_widegamut": (0.8, 0.313, 0.1682, 0.9877, 0.079, -0.1155),
}
D65 = (0.3127, 0.329)

LOGC3, LOGC4 = ("arri_logc3_ei800", "logc3ei800_alexawide"), ("arri_logc4",)
ARRI = "com.arri.camera."
_BY_ARRI_CURVE = {"LOGC": LOGC3, "LOGC3": LOGC3, "LOGC4": LOGC4}


def of_code_points(primaries: int, transfer: int) -> Names:
    """Names for a movie's code points; none for ordinary video, which is looked at as sRGB."""
    return BY_CODE.get(whole_code_points(primaries, transfer), ())


def whole_code_points(primaries: int, transfer: int) -> Tuple[int, int]:
    """The code points, with the primaries that HDR is delivered in where a file leaves them out."""
    return (9 if primaries == UNSAID and transfer in (16, 18) else primaries), transfer


def of_profile(description: str) -> Names:
    """Names for an ICC profile, by its description; none for one that is not known."""
    return BY_PROFILE.get(description.strip("\0 ").lower(), ())


def arri_curve(tags: Mapping[str, str]) -> str:
    """The curve that an ARRI camera has written into its movie's tags, such as LOGC3; empty where none has."""
    said = {name.lower(): value for name, value in tags.items()}
    curve = said.get(ARRI + "colorgammasxs", said.get("colorgammasxs", ""))
    return curve.upper().replace("-", "").replace(" ", "")


def of_arri_curve(curve: str) -> Names:
    """Names for such a curve; none where it is no log."""
    return _BY_ARRI_CURVE.get(curve, ())
