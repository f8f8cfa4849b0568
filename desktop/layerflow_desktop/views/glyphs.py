"""Icons of buttons, drawn in the palette's colours on a grid of 16 by 16, sharp on any screen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPainterPath, QPalette, QPen, QPixmap, QPolygonF

GRID = 16
_RATIOS = (1, 2, 3)  # device pixels for one of ours
Points = Iterable[tuple[float, float]]


def glyph(name: str, palette: QPalette) -> QIcon:
    """The icon of that name: the text's colour, the accent where it is checked, and grey where it is disabled."""
    normal = palette.color(QPalette.ColorGroup.Active, QPalette.ColorRole.ButtonText)
    accent = palette.color(QPalette.ColorGroup.Active, QPalette.ColorRole.Highlight)
    grey = palette.color(QPalette.ColorGroup.Disabled, QPalette.ColorRole.ButtonText)
    return QIcon(_drawn(name, normal.rgba(), accent.rgba(), grey.rgba()))


@lru_cache(maxsize=256)
def _drawn(name: str, normal: int, accent: int, grey: int) -> QIcon:
    """Nine pictures, which are drawn once: layers and buttons show their icons anew with every change."""
    icon = QIcon()
    for ratio in _RATIOS:
        icon.addPixmap(_pixmap(name, QColor.fromRgba(normal), ratio), QIcon.Mode.Normal, QIcon.State.Off)
        icon.addPixmap(_pixmap(name, QColor.fromRgba(accent), ratio), QIcon.Mode.Normal, QIcon.State.On)
        icon.addPixmap(_pixmap(name, QColor.fromRgba(grey), ratio), QIcon.Mode.Disabled, QIcon.State.Off)
    return icon


def _pixmap(name: str, color: QColor, ratio: int) -> QPixmap:
    pixmap = QPixmap(QSize(GRID, GRID) * ratio)
    pixmap.setDevicePixelRatio(ratio)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(color, 1.5, Qt.PenStyle.SolidLine, Qt.PenCapStyle.FlatCap, Qt.PenJoinStyle.MiterJoin))
    _DRAWINGS[name](painter, color)
    painter.end()
    return pixmap


def _fill(painter: QPainter, color: QColor, *shapes: Points) -> None:
    for points in shapes:
        path = QPainterPath()
        path.addPolygon(QPolygonF([QPointF(x, y) for x, y in points]))
        path.closeSubpath()
        painter.fillPath(path, color)


def _line(painter: QPainter, *points: tuple[float, float]) -> None:
    painter.drawPolyline(QPolygonF([QPointF(x, y) for x, y in points]))


def _box(x: float, y: float, width: float, height: float) -> Points:
    return (x, y), (x + width, y), (x + width, y + height), (x, y + height)


def _play(painter: QPainter, color: QColor) -> None:
    _fill(painter, color, ((4, 2.5), (13, 8), (4, 13.5)))


def _play_back(painter: QPainter, color: QColor) -> None:
    _fill(painter, color, ((12, 2.5), (3, 8), (12, 13.5)))


def _stop(painter: QPainter, color: QColor) -> None:
    _fill(painter, color, _box(4, 3, 3, 10), _box(9, 3, 3, 10))


def _step(painter: QPainter, color: QColor) -> None:
    _fill(painter, color, _box(3.5, 4, 2, 8), ((7, 4), (13, 8), (7, 12)))


def _step_back(painter: QPainter, color: QColor) -> None:
    _fill(painter, color, _box(10.5, 4, 2, 8), ((9, 4), (3, 8), (9, 12)))


def _to_end(painter: QPainter, color: QColor) -> None:
    _fill(painter, color, ((2, 4), (6.5, 8), (2, 12)), ((6.5, 4), (11, 8), (6.5, 12)), _box(11.5, 4, 2, 8))


def _to_start(painter: QPainter, color: QColor) -> None:
    _fill(painter, color, ((14, 4), (9.5, 8), (14, 12)), ((9.5, 4), (5, 8), (9.5, 12)), _box(2.5, 4, 2, 8))


def _mark_in(painter: QPainter, color: QColor) -> None:
    _line(painter, (9.5, 3), (5.5, 3), (5.5, 13), (9.5, 13))


def _mark_out(painter: QPainter, color: QColor) -> None:
    _line(painter, (6.5, 3), (10.5, 3), (10.5, 13), (6.5, 13))


def _clear_marks(painter: QPainter, color: QColor) -> None:
    _line(painter, (4.5, 3), (2, 3), (2, 13), (4.5, 13))
    _line(painter, (11.5, 3), (14, 3), (14, 13), (11.5, 13))
    _line(painter, (5.5, 5.5), (10.5, 10.5))
    _line(painter, (10.5, 5.5), (5.5, 10.5))


def _loop(painter: QPainter, color: QColor) -> None:
    _line(painter, (3, 9.5), (3, 5), (12, 5))
    _line(painter, (13, 6.5), (13, 11), (4, 11))
    _fill(painter, color, ((10.5, 2), (14, 5), (10.5, 8)), ((5.5, 8), (2, 11), (5.5, 14)))


def _once(painter: QPainter, color: QColor) -> None:
    _line(painter, (2, 8), (9, 8))
    _fill(painter, color, ((7.5, 4.5), (11.5, 8), (7.5, 11.5)), _box(12, 3.5, 1.75, 9))


def _bounce(painter: QPainter, color: QColor) -> None:
    _line(painter, (4, 8), (12, 8))
    _fill(painter, color, ((10.5, 4.5), (14.5, 8), (10.5, 11.5)), ((5.5, 4.5), (1.5, 8), (5.5, 11.5)))


def _eye(painter: QPainter, color: QColor) -> None:
    path = QPainterPath(QPointF(1.5, 8))
    path.quadTo(QPointF(8, 0.5), QPointF(14.5, 8))
    path.quadTo(QPointF(8, 15.5), QPointF(1.5, 8))
    painter.drawPath(path)
    painter.setBrush(color)
    painter.drawEllipse(QPointF(8, 8), 1.6, 1.6)


def _eye_shut(painter: QPainter, color: QColor) -> None:
    path = QPainterPath(QPointF(1.5, 7))
    path.quadTo(QPointF(8, 14), QPointF(14.5, 7))
    painter.drawPath(path)
    for x, y in ((3.5, 11.5), (8, 13.5), (12.5, 11.5)):
        _line(painter, (8 + (x - 8) * 0.8, y - 2.2), (x, y))


def _lock(painter: QPainter, color: QColor) -> None:
    _fill(painter, color, _box(3.5, 7.5, 9, 6.5))
    painter.drawArc(QRectF(5, 2.25, 6, 8), 0, 180 * 16)
    _line(painter, (5, 6), (5, 8))
    _line(painter, (11, 6), (11, 8))


def _unlock(painter: QPainter, color: QColor) -> None:
    painter.drawRect(QRectF(4.25, 8.25, 7.5, 5))
    painter.drawArc(QRectF(7.75, 2.25, 6, 8), 0, 180 * 16)
    _line(painter, (7.75, 6), (7.75, 8))


def _closed(painter: QPainter, color: QColor) -> None:
    _line(painter, (6, 4), (10, 8), (6, 12))


def _open(painter: QPainter, color: QColor) -> None:
    _line(painter, (4, 6), (8, 10), (12, 6))


def _grip(painter: QPainter, color: QColor) -> None:
    for x in (5.5, 9.0):
        for y in (3.5, 7.25, 11.0):
            _fill(painter, color, _box(x, y, 1.5, 1.5))


_DRAWINGS: dict[str, Callable[[QPainter, QColor], None]] = {
    "play": _play,
    "play_back": _play_back,
    "stop": _stop,
    "step": _step,
    "step_back": _step_back,
    "to_start": _to_start,
    "to_end": _to_end,
    "mark_in": _mark_in,
    "mark_out": _mark_out,
    "clear_marks": _clear_marks,
    "loop": _loop,
    "once": _once,
    "bounce": _bounce,
    "eye": _eye,
    "eye_shut": _eye_shut,
    "lock": _lock,
    "unlock": _unlock,
    "closed": _closed,
    "open": _open,
    "grip": _grip,
}
