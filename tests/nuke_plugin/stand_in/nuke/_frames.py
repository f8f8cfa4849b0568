"""Frame ranges, and the frame and view that something is asked for."""

# ruff: noqa: N802  (Nuke's own names)

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nuke._guard import Guarded
from nuke._state import state


class FrameRange(Guarded):
    """Frames from a first to a last one, inclusive, in steps. Also made of a text such as 1-10x2."""

    def __init__(self, *args: Any) -> None:
        """One text, or first, last and step."""
        if len(args) == 1 and isinstance(args[0], str):
            args = _parsed(args[0])
        first, last, step = (*args, 1)[:3] if len(args) > 1 else (1, 1, 1)
        self._first, self._last, self._step = int(first), int(last), int(step)

    def first(self) -> int:
        """The first frame."""
        return self._first

    def last(self) -> int:
        """The last frame."""
        return self._last

    def increment(self) -> int:
        """The step."""
        return self._step

    def frames(self) -> int:
        """How many there are."""
        return len(self._range())

    def minFrame(self) -> int:
        """The lowest frame."""
        return min(self._first, self._last)

    def maxFrame(self) -> int:
        """The highest frame."""
        return max(self._first, self._last)

    def _range(self) -> range:
        return range(self._first, self._last + 1, max(1, self._step))

    def __iter__(self) -> Iterator[int]:
        """The frames."""
        return iter(self._range())

    def __str__(self) -> str:
        """The range as a text."""
        step = f"x{self._step}" if self._step != 1 else ""
        return f"{self._first}-{self._last}{step}" if self._first != self._last else str(self._first)


def _parsed(text: str) -> tuple[int, int, int]:
    span, _, step = text.partition("x")
    first, dash, last = span[1:].partition("-")
    first = span[:1] + first
    return int(first), int(last) if dash else int(first), int(step or 1)


class FrameRanges(Guarded):
    """Several ranges."""

    def __init__(self, *args: Any) -> None:
        """A text with spaces between the ranges, or the ranges."""
        texts = args[0].replace(",", " ").split() if args and isinstance(args[0], str) else ()
        given = args[0] if args and isinstance(args[0], (list, tuple)) else args
        self._ranges = [FrameRange(text) for text in texts] or [each for each in given if isinstance(each, FrameRange)]

    def add(self, one: FrameRange) -> None:
        """Adds a range."""
        self._ranges.append(one)

    def size(self) -> int:
        """How many ranges there are."""
        return len(self._ranges)

    def toFrameList(self) -> list[int]:
        """All frames."""
        return [frame for each in self._ranges for frame in each]

    def __iter__(self) -> Iterator[FrameRange]:
        """The ranges."""
        return iter(self._ranges)


class OutputContext(Guarded):
    """The frame and the view for which something is worked out. View 0 is the default, 1 the first of the script."""

    def __init__(self) -> None:
        """The default view, and the frame of the script."""
        self._frame: float | None = None
        self._view = 0

    def frame(self) -> float:
        """The frame."""
        return float(state.root.frame() if self._frame is None else self._frame)

    def setFrame(self, frame: float) -> None:
        """Sets the frame."""
        self._frame = frame

    def view(self) -> int:
        """The number of the view."""
        return self._view

    def setView(self, view: int) -> None:
        """Sets the view by its number."""
        if not isinstance(view, int):
            raise TypeError(f"setView() argument 1 must be int, not {type(view).__name__}")
        self._view = view

    def viewcount(self) -> int:
        """How many views there are, with the default one."""
        return len(state.root.view_names()) + 1

    def viewname(self, number: int) -> str:
        """The name of a view."""
        names = state.root.view_names()
        return "default" if number == 0 else names[number - 1]

    def viewFromName(self, name: str) -> int:
        """The number of a view, -1 where there is none of that name."""
        names = ["default", *state.root.view_names()]
        return names.index(name) if name in names else -1
