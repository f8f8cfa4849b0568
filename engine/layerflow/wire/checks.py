"""The rules a request keeps, each a `ValueError` of one sentence: what is wrong, then what would work."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import fields
from typing import Any, Optional, Sequence, Tuple

_OBJECT = "Dict[str, Any]"
_TYPES = {"str": (str,), "int": (int,), "float": (int, float), "bool": (bool,), _OBJECT: (dict,)}
_TEXTS = "Tuple[str, ...]"
_TYPE_NAMES = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    _TEXTS: "a list of texts",
    _OBJECT: "an object",
}

MAX_FRAME_DIGITS = 12  # cameras and phones number files by date and time

_FRAMES = re.compile(r"([0-9]{1,12})(?:-([0-9]{1,12}))?")
_FRAME_FIELD = re.compile(r"#+|%(?:0([0-9]{1,9}))?d")
_FOLDER_FIELD = re.compile(r"%0?[0-9]*d")  # a folder's name may well hold a #
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_LINE_BREAKS = "\n\r\t"  # what a multi-line text box holds


def parse_frames(text: str) -> Tuple[int, int]:
    """First and last frame, inclusive, of "1001-1016" or "1001"."""
    match = _FRAMES.fullmatch(text.strip())
    if match is None:
        raise ValueError("frames are written like 1001-1016 or 1001, got {!r}".format(text))
    first, last = int(match.group(1)), int(match.group(2) or match.group(1))
    check_order(first, last)
    return first, last


def check_order(first: int, last: int) -> None:
    """The first frame comes before the last, as artists count."""
    if first > last:
        raise ValueError("the first frame {0} comes after the last frame {1}; write {1}-{0}".format(first, last))


def check_types(values: Any, apart: Sequence[str] = ()) -> None:
    """Every field of a dataclass but those `apart` holds what its annotation says; a truth value is not a number."""
    for field in fields(values):
        if field.name in apart:
            continue
        value, annotation = getattr(values, field.name), str(field.type)
        optional = annotation.startswith("Optional[")
        kind = annotation[len("Optional[") : -1] if optional else annotation
        if not (_is_a(kind, value) or (optional and value is None)):
            raise ValueError("{} must be {}, got {!r}".format(field.name, _TYPE_NAMES[kind], value))


def _is_a(kind: str, value: Any) -> bool:
    if kind == _TEXTS:
        return isinstance(value, tuple) and all(isinstance(item, str) for item in value)
    return isinstance(value, _TYPES[kind]) and (kind == "bool" or not isinstance(value, bool))


def check_choice(name: str, value: Optional[str], choices: Sequence[str]) -> None:
    """A set value is one of the choices."""
    if value is not None and value not in choices:
        raise ValueError("{} must be one of {}, got {!r}".format(name, ", ".join(choices), value))


def check_range(name: str, value: Optional[float], low: float, high: float) -> None:
    """A set value is from `low` to `high`; NaN is nowhere."""
    if value is not None and not low <= value <= high:
        raise ValueError("{} must be from {} to {}, got {}".format(name, low, high, value))


def check_printable(what: str, text: str, allowed: str = "") -> None:
    """A text holds no control characters but those `allowed`, and no half of a surrogate pair."""
    for place, character in enumerate(text):
        if unicodedata.category(character) in ("Cc", "Cs") and character not in allowed:
            raise ValueError(
                "{} holds the control character U+{:04X} at position {}; remove it".format(
                    what, ord(character), place + 1
                )
            )


def check_name(name: str, value: str) -> None:
    """A name is there and printable."""
    if not value.strip():
        raise ValueError("{} is empty; leave it out for the default".format(name))
    check_printable(name, value)


def check_prompt(name: str, value: str) -> None:
    """A prompt is text in any script and of any length; line breaks are fine, other control characters are not."""
    check_printable("the {} prompt".format(name), value, allowed=_LINE_BREAKS)


def check_local_path(name: str, value: str) -> None:
    """A path names a local file; nothing is ever fetched from a network."""
    if not value.strip():
        raise ValueError("the {} path is empty; give a file, a folder or a pattern like name.%04d.exr".format(name))
    check_printable("the {} path".format(name), value)
    if _URL.match(value):
        raise ValueError("{} must be a local file, got the address {!r}; download it first".format(name, value))


def check_output_pattern(output: str) -> None:
    """An output names EXR frames: one %04d or #### in the file name, apart from other digits, and .exr behind it."""
    check_local_path("output", output)
    folder, name = re.fullmatch(r"(.*[\\/])?(.*)", output).groups(default="")  # type: ignore[union-attr]
    start, end, _ = find_frame_field(folder, name)
    if name[start - 1 : start].isdigit() or name[end : end + 1].isdigit():
        raise ValueError("output has a digit next to the frame number in {!r}; put a dot between them".format(output))
    if name[end:].lower() != ".exr":
        raise ValueError("output must end in .exr behind the frame number, got {!r}; try shot.%04d.exr".format(output))


def has_frame_field(name: str) -> bool:
    """Whether a file name holds %04d or ####."""
    return _FRAME_FIELD.search(name) is not None


def find_frame_field(folder: str, name: str) -> Tuple[int, int, int]:
    """Where the one %04d or #### of a file name starts and ends, and how many digits it asks for at least."""
    found = list(_FRAME_FIELD.finditer(name))
    if len(found) != 1 or _FOLDER_FIELD.search(folder):
        raise ValueError(
            "exactly one %04d or #### is needed for the frame number, in the file name, got {!r}; "
            "try name.%04d.exr".format(name if len(found) != 1 else folder)
        )
    field = found[0]
    padding = len(field.group()) if field.group().startswith("#") else int(field.group(1) or 1)
    if padding > MAX_FRAME_DIGITS:
        raise ValueError("{!r} asks for frame numbers of {} digits; use %04d".format(name, padding))
    return field.start(), field.end(), padding
