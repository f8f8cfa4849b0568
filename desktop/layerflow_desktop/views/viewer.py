"""The viewer: a picture view, and what mouse and keys do there."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from PySide6.QtCore import QEvent, QPointF, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QFocusEvent, QKeyEvent, QMouseEvent, QWheelEvent
from PySide6.QtWidgets import QWidget

from layerflow_desktop.models import framing as frame
from layerflow_desktop.models.document import ViewSettings
from layerflow_desktop.views.canvas import Canvas, make_canvas
from layerflow_desktop.views.picture_view import PictureView

Drag = Callable[[QPointF], None]  # is told where the pointer is


class Viewer(PictureView):
    """Shows a scene. It changes nothing but how one looks at it."""

    settings_changed = Signal(ViewSettings)  # the wipe was dragged
    pointer_moved = Signal(int, int)  # column and row of the picture
    pointer_left = Signal()
    files_dropped = Signal(list)  # paths
    double_clicked = Signal()
    space_tapped = Signal()  # without a drag: play or stop
    layer_grabbed = Signal(float, float)  # a point of the picture, with Ctrl
    layer_dragged = Signal(float, float)  # pixels of the picture from there
    layer_dropped = Signal()

    def __init__(self, parent: QWidget | None = None, make: Callable[[QWidget], Canvas] = make_canvas) -> None:
        super().__init__(parent, make)
        self.setObjectName("viewer")
        self.setAccessibleName("Viewer")
        self.setMouseTracking(True)
        self.setAcceptDrops(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._drag: Drag | None = None
        self._is_space_down = self._has_panned = self._is_pointer_in = self._is_moving = False

    def event(self, event: QEvent) -> bool:
        is_override = event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent)
        if is_override and cast(QKeyEvent, event).key() == Qt.Key.Key_Space:
            event.accept()  # held, it pans; tapped, `space_tapped` tells so
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        if event.key() == Qt.Key.Key_Space:
            if not event.isAutoRepeat():
                self._is_space_down, self._has_panned = True, False
        elif event.key() == Qt.Key.Key_F and event.modifiers() == Qt.KeyboardModifier.NoModifier:
            self.fit()
        elif event.key() == Qt.Key.Key_1 and event.modifiers() == Qt.KeyboardModifier.ControlModifier:
            self.actual_size()
        else:
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        if event.key() != Qt.Key.Key_Space:
            super().keyReleaseEvent(event)
        elif not event.isAutoRepeat() and self._is_space_down:
            self._is_space_down = False
            if not self._has_panned:
                self.space_tapped.emit()

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        self._is_space_down = False

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        if self._framing is not None and event.angleDelta().y():
            point = self._device(event.position())
            self._reframe(frame.wheeled(self._framing, event.angleDelta().y() / 120, *point))
            event.accept()

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        self._drag = self._begun_drag(event)
        if self._drag is not None:
            self._show_cursor(event.position(), is_dragging=True)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        if self._drag is not None:
            self._drag(event.position())
        else:
            self._show_cursor(event.position())
        self._tell_pointer(event.position())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        if self._is_moving:
            self._is_moving = False
            self.layer_dropped.emit()
        self._drag = None
        self._show_cursor(event.position())

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        if event.button() == Qt.MouseButton.LeftButton:
            if self._is_fit:
                self.actual_size(event.position())
            else:
                self.fit()
            self.double_clicked.emit()

    def leaveEvent(self, event: QEvent) -> None:  # noqa: N802
        self._tell_pointer(None)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        if _paths(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        if paths := _paths(event):
            event.acceptProposedAction()
            self.files_dropped.emit(paths)

    def _begun_drag(self, event: QMouseEvent) -> Drag | None:
        is_left = event.button() == Qt.MouseButton.LeftButton
        with_alt = bool(event.modifiers() & Qt.KeyboardModifier.AltModifier)
        if event.button() == Qt.MouseButton.MiddleButton or (is_left and (with_alt or self._is_space_down)):
            return self._pan_from(event.position())
        if is_left and event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            return self._move_layer_from(event.position())
        line = self._wipe_line()
        if line is None or not is_left:
            return None
        if line.is_on_knob(event.position()):
            return self._turn_about(self._picture_point(line.pivot))
        return self._move_line if line.is_on_line(event.position()) else None

    def _pan_from(self, start: QPointF) -> Drag:
        begun = self._framing
        self._has_panned = True

        def pan(point: QPointF) -> None:
            if begun is not None and self._framing is not None:
                self._reframe(frame.panned(begun, *self._device(point - start)))

        return pan

    def _move_layer_from(self, start: QPointF) -> Drag:
        begun = self._picture_point(start)
        self._is_moving = True
        self.layer_grabbed.emit(*begun)

        def move(point: QPointF) -> None:
            x, y = self._picture_point(point)
            self.layer_dragged.emit(x - begun[0], y - begun[1])

        return move

    def _move_line(self, point: QPointF) -> None:
        if self._framing is not None:
            x, y = self._picture_point(point)
            size, angle = (self._framing.width, self._framing.height), self._settings.wipe_angle
            self._wipe_to(wipe=frame.wipe_through(*size, angle, x, y))

    def _turn_about(self, pivot: tuple[float, float]) -> Drag:
        def turn(point: QPointF) -> None:
            if self._framing is not None:
                x, y = self._picture_point(point)
                angle = frame.wipe_angle_to(x - pivot[0], y - pivot[1])
                size = (self._framing.width, self._framing.height)
                self._wipe_to(wipe=frame.wipe_through(*size, angle, *pivot), wipe_angle=angle)

        return turn

    def _wipe_to(self, **values: float) -> None:
        self.set_settings(self._settings.with_(**values))
        self.settings_changed.emit(self._settings)

    def _picture_point(self, point: QPointF) -> tuple[float, float]:
        return (0.0, 0.0) if self._framing is None else self._framing.to_picture(*self._device(point))

    def _tell_pointer(self, point: QPointF | None) -> None:
        pixel = None if point is None or self._framing is None else self._framing.pixel_at(*self._device(point))
        if pixel is not None:
            self.pointer_moved.emit(*pixel)
        elif self._is_pointer_in:
            self.pointer_left.emit()
        self._is_pointer_in = pixel is not None

    def _show_cursor(self, point: QPointF, is_dragging: bool = False) -> None:
        line, shapes = self._wipe_line(), Qt.CursorShape
        shape = shapes.ArrowCursor
        if self._is_space_down:
            shape = shapes.OpenHandCursor
        elif line is not None and line.is_on_knob(point):
            shape = shapes.PointingHandCursor
        elif line is not None and line.is_on_line(point):
            shape = shapes.SplitHCursor
        elif is_dragging:
            shape = shapes.ClosedHandCursor
        self.setCursor(shape)


def _paths(event: QDropEvent) -> list[str]:
    return [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
