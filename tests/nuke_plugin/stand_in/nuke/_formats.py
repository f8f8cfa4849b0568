"""The sizes that pictures have, by name."""

# ruff: noqa: N802  (Nuke's own names)

from __future__ import annotations

from typing import Any

from nuke._guard import Guarded, main_thread_only
from nuke._state import state

FIRST = (
    "640 480 0 0 640 480 1 PC_Video",
    "1920 1080 0 0 1920 1080 1 HD_1080",
    "2048 1556 0 0 2048 1556 1 2K_Super_35(full-ap)",
    "256 256 0 0 256 256 1 square_256",
    "1024 778 0 0 1024 778 1 1K_Super_35(full-ap)",
)
ROOT = "2K_Super_35(full-ap)"


class Format(Guarded):
    """A size, the picture area in it, the pixels' shape and a name."""

    def __init__(self, width: int, height: int, *more: Any) -> None:
        """A size. Behind it x, y, right, top and pixel aspect, or the pixel aspect alone."""
        box = more[:4] if len(more) >= 4 else (0, 0, width, height)
        rest = more[4:] if len(more) >= 4 else more
        self._width, self._height = int(width), int(height)
        self._box = [int(edge) for edge in box]
        self._aspect = float(rest[0]) if rest else 1.0
        self._name = str(rest[1]) if len(rest) > 1 else ""

    def width(self) -> int:
        """Pixels across."""
        return self._width

    def height(self) -> int:
        """Pixels down."""
        return self._height

    def pixelAspect(self) -> float:
        """How wide a pixel is for its height."""
        return self._aspect

    def name(self) -> str | None:
        """Its name; None where it has none."""
        return self._name or None

    def setName(self, name: str) -> None:
        """Names it."""
        self._name = name

    def x(self) -> int:
        """Left edge of the picture area."""
        return self._box[0]

    def y(self) -> int:
        """Bottom edge."""
        return self._box[1]

    def r(self) -> int:
        """Right edge."""
        return self._box[2]

    def t(self) -> int:
        """Top edge."""
        return self._box[3]

    def add(self, name: str) -> None:
        """Adds it to the list under a name."""
        self._name = name
        state.formats.append(self)

    def _written(self) -> str:
        """The text that scripts have for it."""
        box = " ".join(map(str, self._box))
        return f"{self._width} {self._height} {box} {self._aspect:g} {self._name}"

    def __eq__(self, other: object) -> bool:
        """Whether it is the same size under the same name."""
        return isinstance(other, Format) and self._written() == other._written()

    def __hash__(self) -> int:
        """That of its text."""
        return hash(self._written())


def from_text(text: str) -> Format:
    """The Format of a script's text; one without numbers is a name."""
    words = text.split()
    if not words or not words[0].lstrip("-").isdigit():
        return named(text)
    numbers = [float(word) for word in words[:7]]
    return Format(*(int(number) for number in numbers[:6]), *numbers[6:], " ".join(words[7:]))


def named(name: str) -> Format:
    """The Format of that name. TypeError where there is none."""
    for each in state.formats:
        if each.name() == name:
            return each
    raise TypeError(f"there is no format named {name!r}")


def root_format() -> Format:
    """The Format of the script."""
    held = state.root["format"]._value
    return held if isinstance(held, Format) else named(ROOT)


@main_thread_only
def addFormat(text: str) -> Format:
    """The Format of a text such as "1920 1080 0 0 1920 1080 1 HD", added to the list."""
    words = text.split()
    found = from_text(text) if len(words) > 6 else Format(int(words[0]), int(words[1]), *words[2:])
    state.formats.append(found)
    return found


@main_thread_only
def formats() -> list[Format]:
    """Every Format there is a name for."""
    return list(state.formats)
