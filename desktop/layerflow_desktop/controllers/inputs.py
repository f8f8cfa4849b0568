"""What is dropped on a well, and what it is in one line: both read files, so both happen in the background."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from layerflow.wire.matte import parse_matte
from layerflow_desktop.controllers.background import Background
from layerflow_desktop.controllers.opening import kind_of
from layerflow_desktop.models.clips import open_clip
from layerflow_desktop.models.picture import ClipError


class Inputs:
    """The two questions that the wells have."""

    def __init__(self, background: Background, say: Callable[[str], None]) -> None:
        self._background, self._say = background, say

    def resolve(self, paths: Sequence[str], then: Callable[[str], None]) -> None:
        """Has `then` told the text by which the app and the engine know these files; a sentence is said for others."""
        self._background.run(lambda: _pictures(paths), then, self._say)

    def describe(self, text: str, then: Callable[[str], None]) -> None:
        """Has `then` told the frames and the size of a plate or matte, or what is wrong with it."""
        self._background.run(lambda: described(text), then, then)


def described(text: str) -> str:
    """Frames, size and colour space of a clip. Raises ClipError and ValueError."""
    path, channel = parse_matte(text)
    clip = open_clip(path)
    frames = clip.frames
    count = "1 frame" if len(frames) == 1 else f"{len(frames)} frames {frames[0]}-{frames[-1]}"
    parts = [count, f"{clip.width} x {clip.height}", f"channel {channel}" if channel else clip.source_colorspace]
    return ", ".join(part for part in parts if part)


def _pictures(paths: Sequence[str]) -> str:
    opened = kind_of(paths)
    if opened.kind == "project":
        raise ClipError(f"{opened.text} is a project; drop it on the viewer, or drop frames here")
    return opened.text
