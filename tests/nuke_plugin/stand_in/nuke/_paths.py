"""Frames and views in file names: %04d or ####, %V and %v."""

from __future__ import annotations

import re
from typing import Any

from nuke._frames import OutputContext
from nuke._state import state

_HASHES = re.compile(r"#+")
_FRAME = re.compile(r"%(0?)(\d*)d")
_RANGE = re.compile(r"^(.*\S)\s+(-?\d+)-(-?\d+)$", re.DOTALL)


def technical(path: str) -> str:
    """The path with its frame as %04d."""
    return _HASHES.sub(lambda found: f"%0{len(found[0])}d", path)


def without_range(text: str) -> tuple[str, tuple[int, ...]]:
    """The path, and the first and last frame behind it where there are any."""
    found = _RANGE.match(text)
    return (found[1], (int(found[2]), int(found[3]))) if found else (text, ())


def at_frame(path: str, frame: int, view: str) -> str:
    """The path of one frame of one view."""
    path = path.replace("%V", view).replace("%v", view[:1])
    return _FRAME.sub(lambda found: f"{frame:{found[1]}{found[2]}d}", technical(path))


def current_frame() -> int:
    """The frame that is evaluated just now, else that of the script."""
    return state.frame[-1] if state.frame else state.root.frame()


def current_view() -> str:
    """The view that is evaluated just now, else the first of the script."""
    return state.view[-1] if state.view else state.root.view_names()[0]


def frame_and_view(time: Any) -> tuple[int, str]:
    """The frame and view that an argument of evaluate() means."""
    if isinstance(time, OutputContext):
        view = current_view() if time.view() == 0 else time.viewname(time.view())
        return int(time.frame()), view
    return (current_frame() if time is None else int(time)), current_view()
