"""Channels of EXR files by the names that Nuke has for them, and the way back."""

from __future__ import annotations

import re

from nuke._state import state

_SHORT = {"r": "red", "g": "green", "b": "blue", "a": "alpha", "z": "Z"}
_LONG = {"rgba.red": "R", "rgba.green": "G", "rgba.blue": "B", "rgba.alpha": "A"}


def from_file(name: str, part: str = "") -> tuple[str | None, str]:
    """The view that a channel of a file is of, None where it names none, and its name in Nuke."""
    words = [_clean(word) for word in (f"{part}.{name}" if part else name).split(".")]
    views = [word for word in words if word in state.root.view_names() or word in ("left", "right")]
    words = [word for word in words if word not in views]
    *layers, last = words or ["other"]
    channel = _SHORT.get(last.lower(), last) if len(last) == 1 else last.lower() if last.lower() in _USUAL else last
    layer = "_".join(layers) or {"Z": "depth"}.get(channel, "rgba" if channel in _USUAL else "other")
    return (views[0] if views else None), f"{layer}.{channel}"


_USUAL = ("red", "green", "blue", "alpha")


def _clean(word: str) -> str:
    return re.sub(r"\W", "_", re.sub(r"^\d+", "", word), flags=re.ASCII)


def in_file(channel: str) -> str:
    """The name of a channel of Nuke in a file."""
    return _LONG.get(channel, channel)
