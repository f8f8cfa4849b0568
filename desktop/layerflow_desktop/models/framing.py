"""Where a picture lies in a viewer: zoom, pan, and the line of a wipe. Screen pixels are those of the device."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

MIN_ZOOM = 1 / 64
MAX_ZOOM = 64.0
Rectangle = tuple[int, int, int, int]  # left, top, right, bottom; half-open


@dataclass(frozen=True)
class Framing:
    """A picture in a view. Points are (x, y) from the top left; a pixel's middle is at a half."""

    width: int  # of the picture
    height: int
    view_width: int  # of the screen's part that shows it
    view_height: int
    pixel_aspect: float = 1.0
    zoom: float = 1.0  # screen pixels for a row of the picture
    x: float = 0.0  # the picture's corner on the screen
    y: float = 0.0

    @property
    def left(self) -> int:
        """The corner's column: whole, so that 1:1 is exact."""
        return math.floor(self.x + 0.5)

    @property
    def top(self) -> int:
        """The corner's row."""
        return math.floor(self.y + 0.5)

    @property
    def scale_x(self) -> float:
        """Screen pixels for a column of the picture."""
        return self.zoom * self.pixel_aspect

    @property
    def scale_y(self) -> float:
        """Screen pixels for a row of the picture."""
        return self.zoom

    @property
    def step(self) -> int:
        """By how much the picture can be reduced without losing what is shown."""
        return max(1, math.floor(1 / max(self.scale_x, self.scale_y)))

    def to_picture(self, x: float, y: float) -> tuple[float, float]:
        """The point of the picture at a point of the screen."""
        return (x - self.left) / self.scale_x, (y - self.top) / self.scale_y

    def to_screen(self, x: float, y: float) -> tuple[float, float]:
        """The point of the screen at a point of the picture."""
        return self.left + x * self.scale_x, self.top + y * self.scale_y

    def pixel_at(self, x: float, y: float) -> tuple[int, int] | None:
        """Column and row of the picture at a point of the screen; None beside the picture."""
        column, row = (math.floor(value) for value in self.to_picture(x, y))
        return (column, row) if 0 <= column < self.width and 0 <= row < self.height else None

    def shown(self) -> Rectangle:
        """The part of the view that the picture covers; empty where it is out of sight."""
        right, bottom = (math.floor(value + 0.5) for value in self.to_screen(self.width, self.height))
        left, top = max(0, self.left), max(0, self.top)
        return left, top, max(left, min(self.view_width, right)), max(top, min(self.view_height, bottom))


def fitted(framing: Framing) -> Framing:
    """The whole picture, as large as the view has it, in the middle."""
    across = framing.view_width / (framing.width * framing.pixel_aspect)
    return centred(framing, _limited(min(across, framing.view_height / framing.height)))


def centred(framing: Framing, zoom: float) -> Framing:
    """The picture's middle in the middle of the view."""
    x = (framing.view_width - framing.width * framing.pixel_aspect * zoom) / 2
    return replace(framing, zoom=zoom, x=x, y=(framing.view_height - framing.height * zoom) / 2)


def zoomed(framing: Framing, zoom: float, x: float, y: float) -> Framing:
    """Another zoom, with what is at the point (x, y) of the screen staying there."""
    zoom = _limited(zoom)
    ratio = zoom / framing.zoom
    return replace(framing, zoom=zoom, x=x - (x - framing.left) * ratio, y=y - (y - framing.top) * ratio)


def wheeled(framing: Framing, notches: float, x: float, y: float) -> Framing:
    """A zoom by the wheel: a notch is a quarter of a doubling. It halts at 1:1 on its way past."""
    zoom = framing.zoom * 2 ** (notches / 4)
    if min(framing.zoom, zoom) < 0.999 < 1.001 < max(framing.zoom, zoom):
        zoom = 1.0
    return zoomed(framing, zoom, x, y)


def panned(framing: Framing, dx: float, dy: float) -> Framing:
    """Moved by so many screen pixels; a strip of the picture always stays in sight."""
    return _kept_in_sight(replace(framing, x=framing.x + dx, y=framing.y + dy))


def resized(framing: Framing, view_width: int, view_height: int) -> Framing:
    """In a view of another size, about its middle."""
    x = framing.x + (view_width - framing.view_width) / 2
    y = framing.y + (view_height - framing.view_height) / 2
    return _kept_in_sight(replace(framing, view_width=view_width, view_height=view_height, x=x, y=y))


def wipe_normal(angle: float) -> tuple[float, float]:
    """The direction across the line of a wipe, from a to b, of length 1. `angle` in degrees, clockwise."""
    return math.cos(math.radians(angle)), math.sin(math.radians(angle))


def wipe_line(width: int, height: int, position: float, angle: float) -> tuple[float, float, float]:
    """(nx, ny, d) of a wipe's line in a picture: a is shown where nx * x + ny * y < d.

    At whatever angle, a `position` of 0 leaves the whole picture to b, and 1 to a.
    """
    (nx, ny), half = wipe_normal(angle), _half_extent(width, height, angle)
    return nx, ny, nx * width / 2 + ny * height / 2 + (2 * position - 1) * half


def wipe_pivot(width: int, height: int, position: float, angle: float) -> tuple[float, float]:
    """The point of the line that is nearest to the picture's middle."""
    (nx, ny), half = wipe_normal(angle), _half_extent(width, height, angle)
    return width / 2 + nx * (2 * position - 1) * half, height / 2 + ny * (2 * position - 1) * half


def wipe_through(width: int, height: int, angle: float, x: float, y: float) -> float:
    """The position of the line that goes through a point of the picture."""
    nx, ny = wipe_normal(angle)
    along = (nx * (x - width / 2) + ny * (y - height / 2)) / _half_extent(width, height, angle)
    return min(1.0, max(0.0, (along + 1) / 2))


def wipe_angle_to(dx: float, dy: float) -> float:
    """The angle of the line whose knob, at its lower end, is dragged to (dx, dy) from its middle; -180 to 180."""
    angle = math.degrees(math.atan2(-dx, dy))
    return 0.0 if abs(angle) < 2 else angle  # upright is easy to come back to


def _half_extent(width: int, height: int, angle: float) -> float:
    """Half of what a picture measures across a wipe's line."""
    nx, ny = wipe_normal(angle)
    return (abs(nx) * width + abs(ny) * height) / 2


def _limited(zoom: float) -> float:
    return min(MAX_ZOOM, max(MIN_ZOOM, zoom))


def _kept_in_sight(framing: Framing, margin: int = 32) -> Framing:
    width, height = framing.width * framing.scale_x, framing.height * framing.scale_y
    x = min(framing.view_width - margin, max(margin - width, framing.x))
    return replace(framing, x=x, y=min(framing.view_height - margin, max(margin - height, framing.y)))
