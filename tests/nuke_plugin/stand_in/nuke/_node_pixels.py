"""What a node says about its picture."""

# ruff: noqa: N802, N815  (Nuke's own names)

from __future__ import annotations

from typing import Any

from nuke import _paths
from nuke._guard import Guarded
from nuke._state import state


class Pixels(Guarded):
    """Asks the evaluator about a node."""

    def _picture(self, frame: int | None = None, view: str | None = None) -> Any:
        from nuke import _evaluate

        at = _paths.current_frame() if frame is None else frame
        return _evaluate.picture_of(self, at, _paths.current_view() if view is None else view)

    def hasError(self) -> bool:
        """Whether the node itself has an error at this frame."""
        from nuke import _evaluate

        return _evaluate.own_error(self, _paths.current_frame(), _paths.current_view()) is not None

    def error(self) -> bool:
        """Whether it or anything above it has an error at this frame."""
        try:
            self._picture()
        except RuntimeError:
            return True
        return False

    treeHasError = error

    def channels(self) -> list[str]:
        """The channels of its picture; none where there is an error."""
        try:
            return sorted(self._picture().channels)
        except RuntimeError:
            return []

    def format(self) -> Any:
        """The Format of its picture; that of the script where there is an error."""
        from nuke import _formats

        try:
            picture = self._picture()
        except RuntimeError:
            return _formats.root_format()
        same = [each for each in state.formats if (each.width(), each.height()) == (picture.width, picture.height)]
        return same[0] if same else _formats.Format(picture.width, picture.height)

    def width(self) -> int:
        """Pixels across."""
        return int(self.format().width())

    def height(self) -> int:
        """Pixels down."""
        return int(self.format().height())

    def pixelAspect(self) -> float:
        """How wide a pixel is for its height."""
        return 1.0

    def metadata(self, key: str | None = None, time: float | None = None, view: str | None = None) -> Any:
        """What its picture says about itself: all of it, or under one key, and None where it says nothing there."""
        try:
            found = self._picture(None if time is None else int(time), view).metadata
        except RuntimeError:
            found = {}
        return dict(found) if key is None else found.get(key)

    def sample(self, channel: str, x: float, y: float, dx: float = 1, dy: float = 1, frame: Any = None) -> float:
        """A pixel of its picture. x goes right and y up from the corner of the lowest left pixel; 0 outside."""
        picture = self._picture(None if frame is None else int(frame))
        plane = picture.channels.get(channel)
        column, row = int(x // 1), picture.height - 1 - int(y // 1)
        if plane is None or not (0 <= column < picture.width and 0 <= row < picture.height):
            return 0.0
        return float(plane[row, column])

    def frameRange(self) -> Any:
        """First and last frame of its picture."""
        from nuke._frames import FrameRange

        return FrameRange(self.firstFrame(), self.lastFrame(), 1)

    def _span(self) -> tuple[int, int]:
        from nuke import _evaluate

        return _evaluate.span_of(self)

    def firstFrame(self) -> int:
        """First frame of its picture."""
        return self._span()[0]

    def lastFrame(self) -> int:
        """Last frame of its picture."""
        return self._span()[1]

    def opHashes(self) -> list[int]:
        """Numbers that change where the picture would be another one."""
        from nuke import _evaluate

        return [_evaluate.hash_of(self)]

    def forceValidate(self) -> None:
        """Works its picture out anew."""
