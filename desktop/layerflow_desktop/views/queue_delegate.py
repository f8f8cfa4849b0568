"""How a job of the queue is drawn: its state, its title, how it stands, and how far it is."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QPalette, QPen, QPolygonF
from PySide6.QtWidgets import QApplication, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from layerflow.wire.status import duration, of_job
from layerflow_desktop.models.queue_row import Row
from layerflow_desktop.views.queue_list import ROW

ICON, GAP, BAR = 14.0, 8.0, 3.0  # pixels
GOOD, BAD = QColor(110, 184, 120), QColor(226, 104, 92)


class QueueDelegate(QStyledItemDelegate):
    """Two lines of text beside an icon, over a thin bar."""

    def sizeHint(  # noqa: N802
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> QSize:
        lines = QFontMetrics(_bold(option.font)).height() + QFontMetrics(option.font).height()
        return QSize(160, round(lines + BAR + 3 * GAP))

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        row = index.data(ROW)
        plain = QStyleOptionViewItem(option)
        self.initStyleOption(plain, index)
        plain.text = ""
        style = plain.widget.style() if plain.widget is not None else QApplication.style()
        style.drawControl(QStyle.ControlElement.CE_ItemViewItem, plain, painter, plain.widget)
        if isinstance(row, Row):
            painter.save()
            _draw(painter, plain, row)
            painter.restore()


def _draw(painter: QPainter, option: QStyleOptionViewItem, row: Row) -> None:
    is_chosen = bool(option.state & QStyle.StateFlag.State_Selected)
    text = option.palette.color(QPalette.ColorRole.HighlightedText if is_chosen else QPalette.ColorRole.Text)
    faint = text if is_chosen else option.palette.color(QPalette.ColorRole.PlaceholderText).lighter(130)
    box = QRectF(option.rect).adjusted(GAP, GAP * 0.75, -GAP, -GAP * 0.75)
    draw_state(painter, QRectF(box.left(), box.top() + 2, ICON, ICON), row.state, _color(row, option, is_chosen))
    words = box.adjusted(ICON + GAP, 0, 0, 0)
    bold, height = _bold(option.font), QFontMetrics(_bold(option.font)).height()
    _line(painter, words, bold, text, row.title, row.what, faint, option.font)
    second = words.translated(0, height + 1)
    right = f"{duration(row.left_s)} left" if row.left_s is not None else ""
    color = BAD if row.state == "failed" and not is_chosen else faint
    _line(painter, second, option.font, color, of_job(row.job).text, right, faint, option.font)
    if row.state == "running":
        _bar(painter, QRectF(words.left(), box.bottom() - BAR, words.width(), BAR), row, option, text, is_chosen)


def _line(
    painter: QPainter, box: QRectF, font: QFont, color: QColor, left: str, right: str, faint: QColor, plain: QFont
) -> None:
    """Draws a text, shortened to what `right` leaves of the line."""
    metrics, small = QFontMetrics(font), QFontMetrics(plain)
    room = small.horizontalAdvance(right) + GAP if right else 0.0
    painter.setFont(plain)
    painter.setPen(faint)
    painter.drawText(box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop, right)
    painter.setFont(font)
    painter.setPen(color)
    short = metrics.elidedText(left, Qt.TextElideMode.ElideRight, int(box.width() - room))
    painter.drawText(box, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop, short)


def _bar(painter: QPainter, box: QRectF, row: Row, option: QStyleOptionViewItem, text: QColor, is_chosen: bool) -> None:
    groove = QColor(text)
    groove.setAlpha(50)
    painter.fillRect(box, groove)
    if row.status.fraction is not None:
        full = text if is_chosen else option.palette.color(QPalette.ColorRole.Highlight)
        painter.fillRect(QRectF(box.left(), box.top(), box.width() * row.status.fraction, box.height()), full)


def draw_state(painter: QPainter, box: QRectF, state: str, color: QColor) -> None:
    """A sign of a state: told by its shape, so that nobody has to tell colours."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.translate(box.topLeft())
    painter.scale(box.width() / 14, box.height() / 14)
    painter.setPen(QPen(color, 1.6, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin))
    if state == "running":
        painter.setBrush(color)
        painter.drawPolygon(QPolygonF([QPointF(3, 2), QPointF(12, 7), QPointF(3, 12)]))
    elif state == "paused":
        painter.fillRect(QRectF(3, 2, 3, 10), color)
        painter.fillRect(QRectF(8, 2, 3, 10), color)
    elif state == "done":
        painter.drawPolyline(QPolygonF([QPointF(2, 7.5), QPointF(5.5, 11), QPointF(12, 3)]))
    elif state == "failed":
        painter.drawLine(QPointF(3, 3), QPointF(11, 11))
        painter.drawLine(QPointF(11, 3), QPointF(3, 11))
    elif state == "cancelled":
        painter.drawEllipse(QPointF(7, 7), 5, 5)
        painter.drawLine(QPointF(3.5, 10.5), QPointF(10.5, 3.5))
    else:  # queued: a clock
        painter.drawEllipse(QPointF(7, 7), 5.2, 5.2)
        painter.drawPolyline(QPolygonF([QPointF(7, 4), QPointF(7, 7), QPointF(9, 8.5)]))
    painter.restore()


def _color(row: Row, option: QStyleOptionViewItem, is_chosen: bool) -> QColor:
    if is_chosen:
        return option.palette.color(QPalette.ColorRole.HighlightedText)
    if row.state == "running":
        return option.palette.color(QPalette.ColorRole.Highlight)
    if row.state in ("done", "failed"):
        return GOOD if row.state == "done" else BAD
    return option.palette.color(QPalette.ColorRole.PlaceholderText).lighter(130)


def _bold(font: QFont) -> QFont:
    bold = QFont(font)
    bold.setWeight(QFont.Weight.DemiBold)
    return bold
