"""The timeline: frames, what of them there is, the range that is played, and the playhead."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import (
    QFocusEvent,
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from layerflow_desktop.controllers.playback import Playback
from layerflow_desktop.models.ruler import Ruler
from layerflow_desktop.views.listening import listen
from layerflow_desktop.views.playback_timer import press
from layerflow_desktop.views.timeline_painter import HEIGHT, TRACK_TOP, Drawn, paint

Held = Literal["", "head", "in", "out", "pan"]

_HANDLE_PX = 6.0
_MARGIN_PX = 10.0
_ZOOM = 1.25  # for a notch of the wheel


class Timeline(QWidget):
    """Scrubs by dragging; the wheel zooms, and with Shift pans. Edges of the range are dragged in the track."""

    def __init__(self, playback: Playback, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._playback = playback
        self._cached: frozenset[int] = frozenset()
        self._writing: frozenset[int] = frozenset()
        self._ruler: Ruler | None = None  # what is zoomed into; None: all
        self._held: Held = ""
        self._last_x = 0.0
        self._k_is_down = False
        self.setObjectName("timeline")
        self.setAccessibleName("Timeline")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        listen(self, playback.frame_changed, self._on_frame)
        listen(self, playback.state_changed, self._on_state)
        self._describe()

    def set_cached(self, frames: Collection[int]) -> None:
        """Marks the frames that play at once."""
        if frames != self._cached:
            self._cached = frozenset(frames)
            self.update()

    def set_writing(self, frames: Collection[int]) -> None:
        """Marks the frames that a running job makes; those that are there already are not marked."""
        if frames != self._writing:
            self._writing = frozenset(frames)
            self._on_state()

    def sizeHint(self) -> QSize:  # noqa: N802
        """Qt's: as wide as there is room."""
        return QSize(480, HEIGHT)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Qt's."""
        return QSize(120, HEIGHT)

    @property
    def bounds(self) -> tuple[int, int]:
        """First and last number: of frames there are, and of those that are being made."""
        frames = self._playback.frames
        ends = [*frames[:1], *frames[-1:], *(f(self._writing) for f in (min, max) if self._writing)]
        return (min(ends), max(ends)) if ends else (self._playback.frame, self._playback.frame)

    @property
    def ruler(self) -> Ruler:
        """What is seen: pixels are counted from the margin."""
        return self._ruler or self._whole()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draws it all; there is little of it."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        paint(painter, self._drawn(), QRectF(self.rect()), _MARGIN_PX, self.palette(), self.font())
        painter.end()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Keeps what is zoomed into."""
        if self._ruler:
            whole = self._whole()
            self._ruler = Ruler(self._ruler.start, self._ruler.span, whole.width).within(whole)

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Takes hold of the playhead or an edge of the range; the middle button of everything."""
        position = event.position()
        self._last_x = position.x()
        if event.button() == Qt.MouseButton.MiddleButton:
            self._held = "pan"
        elif event.button() == Qt.MouseButton.LeftButton:
            self._held = self._handle_at(position) or "head"
            if self._held == "head":
                self._drag(position.x())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Drags what is held."""
        if self._held:
            self._drag(event.position().x())
        else:
            over = self._handle_at(event.position())
            self.setCursor(Qt.CursorShape.SizeHorCursor if over else Qt.CursorShape.ArrowCursor)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Lets go."""
        self._held = ""

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """In the track: all frames again."""
        if event.position().y() >= TRACK_TOP:
            self._ruler = None
            self.update()
        else:
            self.mousePressEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        """Zooms about the pointer; with Shift, or sideways, pans."""
        delta = event.angleDelta()
        whole, x = self._whole(), event.position().x() - _MARGIN_PX
        if delta.x() or event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self._zoom_to(self.ruler.panned(-(delta.x() or delta.y()) / 2, whole))
        else:
            self._zoom_to(self.ruler.zoomed(_ZOOM ** (delta.y() / 120), x, whole))
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Plays, steps and marks, also where no window has these shortcuts."""
        if event.key() == Qt.Key.Key_K and not event.isAutoRepeat():
            self._k_is_down = True
        if event.modifiers() or not press(self._playback, event.key(), self._k_is_down):
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Notes that K is up again."""
        if event.key() == Qt.Key.Key_K and not event.isAutoRepeat():
            self._k_is_down = False
        super().keyReleaseEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        """Forgets a key whose release goes elsewhere."""
        self._k_is_down = False
        super().focusOutEvent(event)

    def event(self, event: QEvent) -> bool:
        """Says what a frame is, where the pointer rests."""
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            QToolTip.showText(event.globalPos(), self.words_at(event.pos().x()), self)
            return True
        return super().event(event)

    def words_at(self, x: float) -> str:
        """What is at `x`: "1003, in memory"."""
        number = self.ruler.number_at(x - _MARGIN_PX)
        first, last = self.bounds
        if not first <= number <= last or not (self._playback.frames or self._writing):
            return "Drag to scrub. The wheel zooms."
        if number not in self._playback.frames:
            return f"{number}, {'being made' if number in self._writing else 'missing'}"
        return f"{number}, {'in memory' if number in self._cached else 'on disk'}"

    def _whole(self) -> Ruler:
        return Ruler.over(*self.bounds, self.width() - 2 * _MARGIN_PX)

    def _edges(self) -> tuple[int, int]:
        """The range as it is marked; the ends of the clip where it is not."""
        there = self._playback.range
        timeline = self._playback.session.document.timeline
        first, last = (there[0], there[-1]) if there else self.bounds
        low, high = self.bounds
        mark_in, mark_out = timeline.mark_in, timeline.mark_out
        marked = (first if mark_in is None else mark_in, last if mark_out is None else mark_out)
        return marked if low <= marked[0] <= marked[1] <= high else (first, last)

    def _handle_at(self, position: QPointF) -> Held:
        if position.y() < TRACK_TOP or not self._playback.frames:
            return ""
        first, last = self._edges()
        x = position.x() - _MARGIN_PX
        to_in, to_out = abs(x - self.ruler.x_of(first)), abs(x - self.ruler.x_of(last + 1))
        nearer: Held = "in" if to_in <= to_out else "out"
        return nearer if min(to_in, to_out) <= _HANDLE_PX else ""

    def _drag(self, x: float) -> None:
        ruler, number = self.ruler, self.ruler.number_at(x - _MARGIN_PX)
        first, last = self.bounds
        if self._held == "pan":
            self._zoom_to(ruler.panned(self._last_x - x, self._whole()))
        elif self._held == "head":
            self._playback.scrub(min(max(number, first), last))
        elif self._held == "in":
            self._playback.mark_in(min(max(number, first), self._edges()[1]))
        elif self._held == "out":
            at = ruler.number_at(x - _MARGIN_PX + ruler.px_per_frame / 2) - 1  # its edge is the end of its cell
            self._playback.mark_out(max(min(at, last), self._edges()[0]))
        self._last_x = x

    def _zoom_to(self, ruler: Ruler) -> None:
        self._ruler = ruler if ruler.span < self._whole().span else None
        self.update()

    def _on_frame(self, frame: int, way: int) -> None:
        if self._ruler and self._held != "head":
            self._ruler = self._ruler.showing(frame, self._whole())
        self._describe()
        self.update()

    def _on_state(self) -> None:
        if self._ruler:
            self._zoom_to(self._ruler.within(self._whole()))
        self._describe()
        self.update()

    def _describe(self) -> None:
        first, last = self.bounds
        text = f"Frame {self._playback.frame} of {first} to {last}"
        self.setAccessibleDescription(text if self._playback.frames else "No frames")

    def _drawn(self) -> Drawn:
        there = frozenset(self._playback.frames)
        first, last = self.bounds
        is_empty = not there and not self._writing
        return Drawn(
            ruler=self.ruler,
            bounds=(first, last),
            edges=self._edges(),
            frame=self._playback.frame,
            cached=self._cached & there,
            writing=self._writing - there,
            missing=frozenset() if is_empty else frozenset(range(first, last + 1)) - there - self._writing,
            is_empty=is_empty,
            has_focus=self.hasFocus(),
        )
