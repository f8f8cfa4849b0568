"""The picture drawn by the GPU."""

from __future__ import annotations

from typing import cast

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QImage, QOffscreenSurface, QOpenGLContext, QSurfaceFormat
from PySide6.QtOpenGL import QOpenGLFramebufferObject
from PySide6.QtOpenGLWidgets import QOpenGLWidget
from PySide6.QtWidgets import QWidget
from shiboken6 import getCppPointer, isValid, wrapInstance

from layerflow_desktop.models.document import ViewSettings
from layerflow_desktop.models.framing import Framing
from layerflow_desktop.models.picture import Scene
from layerflow_desktop.views.gl_painter import GlPainter, PainterError
from layerflow_desktop.views.gl_textures import DEFAULT_LIMIT_BYTES

RENDERER, FRAMEBUFFER = 0x1F01, 0x8D40


def surface_format() -> QSurfaceFormat:
    """What the viewer needs of OpenGL: a core profile that Linux, Windows and macOS have alike."""
    wanted = QSurfaceFormat()
    wanted.setRenderableType(QSurfaceFormat.RenderableType.OpenGL)
    wanted.setProfile(QSurfaceFormat.OpenGLContextProfile.CoreProfile)
    wanted.setVersion(4, 1)
    wanted.setSwapInterval(1)
    return wanted


def renderer() -> str:
    """What would draw the viewer, as it calls itself; empty where no context can be made that does."""
    context = QOpenGLContext()
    context.setFormat(surface_format())
    if not context.create() or context.isOpenGLES():
        return ""
    surface = QOffscreenSurface()
    surface.setFormat(context.format())
    surface.create()
    if not surface.isValid() or not context.makeCurrent(surface):
        return ""
    name = str(context.functions().glGetString(RENDERER)) if tuple(context.format().version()) >= (3, 3) else ""
    context.doneCurrent()
    return name


class GlCanvas(QOpenGLWidget):
    """Draws scenes where OpenGL is."""

    failed = Signal(str)  # one sentence: what is asked for cannot be drawn
    broken = Signal(str)  # one sentence: nothing can be drawn here; the software canvas can

    kind = "OpenGL"

    def __init__(self, parent: QWidget | None = None, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        super().__init__(parent)
        self.setObjectName("canvas")
        self.setFormat(surface_format())
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._limit_bytes = limit_bytes
        self.painter: GlPainter | None = None
        self._asked: tuple[Scene, ViewSettings, Framing] | None = None

    def show_scene(self, scene: Scene | None, settings: ViewSettings, framing: Framing | None) -> None:
        """Shows a scene with the next frame of the screen."""
        self._asked = None if scene is None or framing is None else (scene, settings, framing)
        self.update()

    def picture_as_shown(self) -> QImage:
        """The whole picture, a pixel for a pixel; null where there is none."""
        if self._asked is None or self.painter is None:
            return QImage()
        scene, settings, _ = self._asked
        self.makeCurrent()
        target = QOpenGLFramebufferObject(
            QSize(scene.width, scene.height), QOpenGLFramebufferObject.Attachment.NoAttachment
        )
        self.painter.compose(scene, settings)
        target.bind()
        self.painter.show(scene, settings, Framing(scene.width, scene.height, scene.width, scene.height))
        target.release()
        image = target.toImage(True).convertToFormat(QImage.Format.Format_RGB32)
        del target
        self.doneCurrent()
        return image

    grab_display = picture_as_shown

    def wait_idle(self, timeout_ms: int = 10_000) -> bool:
        """True: what is drawn is drawn when it is asked for."""
        return True

    def release(self) -> None:
        """Frees what is on the GPU. The canvas draws nothing any more."""
        self._asked = None
        if self.painter is not None:
            self.makeCurrent()
            self.painter.release()
            self.painter = None
            self.doneCurrent()

    def initializeGL(self) -> None:  # noqa: N802
        context = self.context()
        try:
            painter = GlPainter(context, self._limit_bytes)
        except PainterError as error:
            self.broken.emit(str(error))
            return
        self.painter = painter
        surface = QOffscreenSurface()  # the widget's own is gone when its context goes
        surface.setFormat(context.format())
        surface.create()
        address = getCppPointer(context)[0]  # Python's own handle of it ends with the widget's, before the signal
        context.aboutToBeDestroyed.connect(lambda: _release_in(address, surface, painter))

    def paintGL(self) -> None:  # noqa: N802
        if self.painter is None:
            return
        try:
            self._paint(self.painter)
        except PainterError as error:
            self.broken.emit(str(error))
        except ValueError as error:
            self.painter.clear()
            self.failed.emit(str(error))

    def _paint(self, painter: GlPainter) -> None:
        if self._asked is None:
            painter.forget_scene()
            painter.clear()
            return
        scene, settings, framing = self._asked
        painter.compose(scene, settings)
        self.context().functions().glBindFramebuffer(FRAMEBUFFER, self.defaultFramebufferObject())
        painter.show(scene, settings, framing)


def _release_in(address: int, surface: QOffscreenSurface, painter: GlPainter) -> None:
    if not isValid(surface):  # the whole application ended without `release`
        return
    context = cast(QOpenGLContext, wrapInstance(address, QOpenGLContext))
    if context.makeCurrent(surface):
        painter.release()
        context.doneCurrent()
