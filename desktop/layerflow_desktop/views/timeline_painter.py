"""How a timeline is drawn: ruler above, track below, and the playhead through both."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QFont, QFontMetricsF, QPainter, QPalette, QPen, QPolygonF

from layerflow_desktop.models.ruler import Ruler, runs

HEIGHT = 58
TRACK_TOP = 27.0
_TRACK_HEIGHT = 20.0
_CACHE_HEIGHT = 4.0
_CACHED = QColor(98, 158, 104)
_MISSING = QColor(150, 66, 60)
_LABEL_GAP_PX = 18.0


@dataclass(frozen=True)
class Drawn:
    """What a timeline shows."""

    ruler: Ruler
    bounds: tuple[int, int]  # first and last number there is
    edges: tuple[int, int]  # of the range that is played
    frame: int
    cached: frozenset[int]
    writing: frozenset[int]  # that a job is making
    missing: frozenset[int]  # between others, and nobody makes them
    is_empty: bool
    has_focus: bool


def paint(painter: QPainter, drawn: Drawn, area: QRectF, margin: float, palette: QPalette, font: QFont) -> None:
    """Draws a timeline into `area`, its frames between margins."""
    painter.fillRect(area, palette.color(QPalette.ColorRole.Base))
    small = QFont(font)
    small.setPointSizeF(max(font.pointSizeF() * 0.85, 7.0))
    painter.setFont(small)
    painter.save()
    painter.translate(margin, 0)
    _paint_track(painter, drawn, palette)
    if not drawn.is_empty:
        _paint_frames(painter, drawn, palette)
        _paint_ticks(painter, drawn, palette)
        _paint_edges(painter, drawn, palette)
        _paint_head(painter, drawn, palette)
    painter.restore()
    if drawn.is_empty:
        painter.setPen(palette.color(QPalette.ColorRole.PlaceholderText))
        painter.drawText(area, Qt.AlignmentFlag.AlignCenter, "No frames yet. Drop a plate here, or generate.")
    if drawn.has_focus:
        color = palette.color(QPalette.ColorRole.Highlight)
        color.setAlpha(110)
        painter.setPen(QPen(color, 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(area.adjusted(0.5, 0.5, -0.5, -0.5))


def _cells(drawn: Drawn, first: int, last: int, top: float, height: float) -> QRectF:
    """The rectangle of a run of frames, cut where it is out of sight."""
    left = max(drawn.ruler.x_of(first), 0.0)
    right = min(drawn.ruler.x_of(last + 1), drawn.ruler.width)
    return QRectF(left, top, max(right - left, 0.0), height)


def _paint_track(painter: QPainter, drawn: Drawn, palette: QPalette) -> None:
    whole = QRectF(0, TRACK_TOP, drawn.ruler.width, _TRACK_HEIGHT)
    painter.fillRect(whole, palette.color(QPalette.ColorRole.AlternateBase))
    if not drawn.is_empty:
        inside = _cells(drawn, *drawn.edges, TRACK_TOP, _TRACK_HEIGHT)
        painter.fillRect(inside, palette.color(QPalette.ColorRole.Midlight))


def _paint_frames(painter: QPainter, drawn: Drawn, palette: QPalette) -> None:
    accent = palette.color(QPalette.ColorRole.Highlight)
    accent.setAlpha(150)
    _fill_runs(painter, drawn, drawn.missing, TRACK_TOP, _TRACK_HEIGHT, QBrush(_MISSING, Qt.BrushStyle.BDiagPattern))
    _fill_runs(painter, drawn, drawn.writing, TRACK_TOP, _TRACK_HEIGHT, QBrush(accent, Qt.BrushStyle.Dense5Pattern))
    below = TRACK_TOP + _TRACK_HEIGHT + 1
    dark = palette.color(QPalette.ColorRole.AlternateBase)
    painter.fillRect(QRectF(0, below, drawn.ruler.width, _CACHE_HEIGHT), dark)
    _fill_runs(painter, drawn, drawn.cached, below, _CACHE_HEIGHT, QBrush(_CACHED))


def _fill_runs(
    painter: QPainter, drawn: Drawn, numbers: Iterable[int], top: float, height: float, brush: QBrush
) -> None:
    for first, last in runs(numbers):
        painter.fillRect(_cells(drawn, first, last, top, height), brush)


def _paint_ticks(painter: QPainter, drawn: Drawn, palette: QPalette) -> None:
    ruler, metrics = drawn.ruler, QFontMetricsF(painter.font())
    label_px = metrics.horizontalAdvance(str(drawn.bounds[1])) + _LABEL_GAP_PX
    numbered, step = ruler.label_step(label_px), ruler.tick_step(label_px)
    text, faint = palette.color(QPalette.ColorRole.WindowText), palette.color(QPalette.ColorRole.Light)
    low, high = drawn.bounds
    badge = _badge(drawn, metrics)
    long, short = [], []
    painter.setPen(QPen(text, 1))
    for number in ruler.multiples(step):
        if not low <= number <= high:
            continue
        x = round(ruler.x_of(number + 0.5)) + 0.5
        if number % numbered == 0:
            long.append(QLineF(x, TRACK_TOP - 7, x, TRACK_TOP - 1))
            _paint_number(painter, ruler, metrics, x, number, badge)
        else:
            short.append(QLineF(x, TRACK_TOP - 4, x, TRACK_TOP - 1))
    painter.drawLines(long)  # all at once: between two calls of Qt another thread may take its turn
    painter.setPen(QPen(faint, 1))
    painter.drawLines(short)


def _paint_number(
    painter: QPainter, ruler: Ruler, metrics: QFontMetricsF, x: float, number: int, badge: QRectF
) -> None:
    """The number over its tick; at the edges, moved in to be seen whole; not where the playhead's would cut it."""
    width = metrics.horizontalAdvance(str(number))
    left = min(max(x - width / 2, 0.0), ruler.width - width)
    if left + width < badge.left() or left > badge.right():
        painter.drawText(QPointF(left, TRACK_TOP - 10), str(number))


def _badge(drawn: Drawn, metrics: QFontMetricsF) -> QRectF:
    """Where the playhead's number stands."""
    width = metrics.horizontalAdvance(str(drawn.frame)) + 10
    middle = drawn.ruler.x_of(drawn.frame + 0.5)
    return QRectF(min(max(middle - width / 2, -8.0), drawn.ruler.width + 8 - width), 1.5, width, 16)


def _paint_edges(painter: QPainter, drawn: Drawn, palette: QPalette) -> None:
    """Brackets where the range begins and ends."""
    is_whole = drawn.edges == drawn.bounds
    color = palette.color(QPalette.ColorRole.Light if is_whole else QPalette.ColorRole.Highlight)
    painter.setPen(QPen(color, 2))
    top, bottom = TRACK_TOP + 1, TRACK_TOP + _TRACK_HEIGHT - 1
    for x, way in ((drawn.ruler.x_of(drawn.edges[0]) + 1, 5), (drawn.ruler.x_of(drawn.edges[1] + 1) - 1, -5)):
        if -2 <= x <= drawn.ruler.width + 2:
            painter.drawPolyline(QPolygonF([QPointF(x + way, top), QPointF(x, top), QPointF(x, bottom)]))
            painter.drawLine(QLineF(x, bottom, x + way, bottom))


def _paint_head(painter: QPainter, drawn: Drawn, palette: QPalette) -> None:
    ruler, accent = drawn.ruler, palette.color(QPalette.ColorRole.Highlight)
    left, right = ruler.x_of(drawn.frame), ruler.x_of(drawn.frame + 1)
    if right < 0 or left > ruler.width:
        return
    veil = QColor(accent)
    veil.setAlpha(70)
    painter.fillRect(_cells(drawn, drawn.frame, drawn.frame, TRACK_TOP, _TRACK_HEIGHT), veil)
    x = round((left + right) / 2) + 0.5
    painter.setPen(QPen(accent, 1.5))
    painter.drawLine(QLineF(x, 17, x, HEIGHT - 4))
    badge = _badge(drawn, QFontMetricsF(painter.font()))
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(accent)
    painter.drawRoundedRect(badge, 2, 2)
    painter.setPen(palette.color(QPalette.ColorRole.HighlightedText))
    painter.drawText(badge, Qt.AlignmentFlag.AlignCenter, str(drawn.frame))
