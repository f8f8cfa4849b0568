"""The picture and what lies over it: labels, a message, a job's preview. What the mouse does is in `viewer`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QEvent, QPointF, QRect, Qt, Signal
from PySide6.QtGui import QImage, QResizeEvent
from PySide6.QtWidgets import QWidget

from layerflow_desktop.models import framing as frame
from layerflow_desktop.models.document import ViewSettings
from layerflow_desktop.models.framing import Framing
from layerflow_desktop.models.picture import Scene
from layerflow_desktop.views.canvas import Canvas, make_canvas
from layerflow_desktop.views.gl_canvas import GlCanvas
from layerflow_desktop.views.latest import Latest
from layerflow_desktop.views.software_canvas import SoftwareCanvas
from layerflow_desktop.views.viewer_parts import MessagePanel, PreviewPane, Tag, WipeLine, WipeOverlay

MARGIN = 8  # of labels, in the interface's pixels


class PictureView(QWidget):
    """Shows a scene: where it is and how large, with what is said of it."""

    zoom_changed = Signal(float)  # screen pixels for a row of the picture
    message_button = Signal(str)
    failed = Signal(str)  # one sentence for the status line
    canvas_changed = Signal()  # it is drawn otherwise from now on

    def __init__(self, parent: QWidget | None = None, make: Callable[[QWidget], Canvas] = make_canvas) -> None:
        super().__init__(parent)
        self.setMinimumSize(160, 120)
        self._scene: Scene | None = None
        self._settings = ViewSettings()
        self._framing: Framing | None = None
        self._is_fit = True
        self._is_moving = False
        self._preview = QImage()
        self.canvas: Canvas = self._connected(make(self))
        self._make_parts()
        self._decoder = Latest(self, self._take_preview, self._fail, "layerflow-preview")

    @property
    def framing(self) -> Framing | None:
        """Where the picture is; None where there is none."""
        return self._framing

    @property
    def settings(self) -> ViewSettings:
        """How the picture is looked at."""
        return self._settings

    def set_scene(self, scene: Scene | None) -> None:
        """Shows a scene. One of another size begins anew with its zoom."""
        self._scene = scene
        self._framing = None if scene is None else self._framed(scene)
        if scene is not None:
            self._frame_tag.say(str(scene.frame))
        self._refresh()

    def set_settings(self, settings: ViewSettings) -> None:
        """Looks at the picture in this way."""
        if settings != self._settings:
            self._settings = settings
            self._refresh()

    def set_moving(self, is_moving: bool) -> None:
        """Whether the picture is one of many that play."""
        self._is_moving = is_moving
        if isinstance(self.canvas, SoftwareCanvas):
            self.canvas.set_moving(is_moving)

    def set_probe_text(self, text: str) -> None:
        """What is under the pointer; empty: nothing."""
        self._probe_tag.say(text)
        self._place_tags()

    def set_message(self, title: str, text: str = "", buttons: Sequence[tuple[str, str]] = ()) -> None:
        """Says something over the picture, with buttons of a name and a label each; no title and text: nothing."""
        self._message.say(title, text, buttons)
        self._message.place(self.rect())

    def show_preview(self, jpeg: bytes, caption: str = "") -> None:
        """Shows a running job's picture in the place of the one it is going to be."""
        self._caption = caption
        self._is_previewing = True
        self._decoder.ask(lambda: QImage.fromData(jpeg))

    @property
    def is_previewing(self) -> bool:
        """Whether a running job's picture is shown, or on its way."""
        return self._is_previewing

    def clear_preview(self) -> None:
        """Shows the scene again."""
        self._is_previewing = False
        self._preview = QImage()
        self._refresh()

    def fit(self) -> None:
        """The whole picture, as large as it can be."""
        self._is_fit = True
        if self._framing is not None:
            self._reframe(frame.fitted(self._framing), is_fit=True)

    def actual_size(self, at: QPointF | None = None) -> None:
        """A pixel of the picture for one of the screen, about a point or the middle."""
        self.set_zoom(1.0, at)

    def set_zoom(self, zoom: float, at: QPointF | None = None) -> None:
        """So many pixels of the screen for one of the picture."""
        if self._framing is not None:
            x, y = self._device(at or QPointF(self.width() / 2, self.height() / 2))
            self._reframe(frame.zoomed(self._framing, zoom, x, y))

    def picture_as_shown(self) -> QImage:
        """The whole picture as it is looked at, a pixel for a pixel; null where there is none."""
        return self.canvas.picture_as_shown()

    def wait_idle(self, timeout_ms: int = 10_000) -> bool:
        """Whether all is drawn, in time; for tests and pictures."""
        return self._decoder.wait_idle(timeout_ms) and self.canvas.wait_idle(timeout_ms)

    def release(self) -> None:
        """Frees threads and what is on the GPU: before the window goes."""
        self._decoder.close()
        self.canvas.release()

    # -- what is seen

    def _make_parts(self) -> None:
        self._caption = ""
        self._is_previewing = False
        self._preview_pane = PreviewPane(self)
        self._wipe = WipeOverlay(self)
        self._a_tag, self._b_tag = Tag("label_a", "What A is", self), Tag("label_b", "What B is", self)
        self._frame_tag, self._probe_tag = Tag("label_frame", "Frame", self), Tag("label_probe", "Pixel values", self)
        self._message = MessagePanel(self)
        self._message.pressed.connect(self.message_button)

    def _connected(self, canvas: Canvas) -> Canvas:
        canvas.failed.connect(self.failed)
        if isinstance(canvas, GlCanvas):
            canvas.broken.connect(self._use_software, Qt.ConnectionType.QueuedConnection)
        return canvas

    def _use_software(self, message: str) -> None:
        """The other canvas in the place of one that draws nothing."""
        if isinstance(self.canvas, SoftwareCanvas):
            return
        broken, self.canvas = self.canvas, self._connected(SoftwareCanvas(self))
        broken.release()
        broken.hide()
        broken.deleteLater()
        self.canvas.setGeometry(self.rect())
        self.canvas.lower()
        self.canvas.show()
        self.set_moving(self._is_moving)
        self.canvas_changed.emit()
        self.failed.emit(f"{message}; the viewer draws without it")
        self._refresh()

    def _refresh(self) -> None:
        self.canvas.show_scene(self._scene, self._settings, self._framing)
        self._wipe.setGeometry(self.rect())
        self._wipe.show_line(self._wipe_line(), self._picture_place())
        self._say_names()
        self._place_tags()
        if self._is_previewing or not self._preview_pane.isHidden():
            self._preview_pane.caption.say(self._caption)
            self._preview_pane.show_image(self._preview, self._preview_place())

    def _say_names(self) -> None:
        scene, is_comparing = self._scene, self._settings.compare != "off"
        has_b = scene is not None and scene.b is not None and is_comparing
        self._a_tag.say(("A  " if has_b else "") + scene.a.name if scene and scene.a.name else "")
        self._b_tag.say(f"B  {scene.b.name}" if has_b and scene and scene.b and scene.b.name else "")
        if scene is None:
            self._frame_tag.say("")

    def _place_tags(self) -> None:
        right, bottom = self.width() - MARGIN, self.height() - MARGIN
        self._a_tag.move(MARGIN, MARGIN)
        self._b_tag.move(right - self._b_tag.width(), MARGIN)
        self._probe_tag.move(MARGIN, bottom - self._probe_tag.height())
        self._frame_tag.move(right - self._frame_tag.width(), bottom - self._frame_tag.height())

    def _wipe_line(self) -> WipeLine | None:
        scene, settings = self._scene, self._settings
        if scene is None or scene.b is None or settings.compare != "wipe" or self._framing is None:
            return None
        return WipeLine(self._framing, settings.wipe, settings.wipe_angle, self.devicePixelRatioF())

    def _picture_place(self) -> QRect:
        if self._framing is None:
            return QRect()
        left, top, right, bottom = (round(value / self.devicePixelRatioF()) for value in self._framing.shown())
        return QRect(left, top, right - left, bottom - top)

    def _preview_place(self) -> QRect:
        if self._framing is None:
            return self.rect()
        ratio = self.devicePixelRatioF()
        left, top = self._framing.left / ratio, self._framing.top / ratio
        width = self._framing.width * self._framing.scale_x / ratio
        return QRect(round(left), round(top), round(width), round(self._framing.height * self._framing.scale_y / ratio))

    def _fail(self, message: str) -> None:
        self.failed.emit(message)

    def _take_preview(self, image: QImage) -> None:
        if self._is_previewing and not image.isNull():
            self._preview = image
            self._refresh()

    # -- where it is

    def _device(self, point: QPointF) -> tuple[float, float]:
        ratio = self.devicePixelRatioF()
        return point.x() * ratio, point.y() * ratio

    def _view_size(self) -> tuple[int, int]:
        ratio = self.devicePixelRatioF()
        return max(1, round(self.width() * ratio)), max(1, round(self.height() * ratio))

    def _framed(self, scene: Scene) -> Framing:
        now = self._framing
        kind = (scene.width, scene.height, scene.pixel_aspect)
        if now is not None and (now.width, now.height, now.pixel_aspect) == kind:
            return now
        framing = Framing(scene.width, scene.height, *self._view_size(), scene.pixel_aspect)
        framing = frame.fitted(framing) if self._is_fit or now is None else frame.centred(framing, now.zoom)
        self.zoom_changed.emit(framing.zoom)
        return framing

    def _reframe(self, framing: Framing, is_fit: bool = False) -> None:
        before, self._framing, self._is_fit = self._framing, framing, is_fit
        if before is None or before.zoom != framing.zoom:
            self.zoom_changed.emit(framing.zoom)
        if before != framing:
            self._refresh()

    def _resize(self) -> None:
        self.canvas.setGeometry(self.rect())
        if self._framing is not None:
            resized = frame.resized(self._framing, *self._view_size())
            self._reframe(frame.fitted(resized) if self._is_fit else resized, self._is_fit)
        self._wipe.setGeometry(self.rect())
        self._message.place(self.rect())
        self._refresh()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        self._resize()

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.DevicePixelRatioChange:
            self._resize()
        return super().event(event)
