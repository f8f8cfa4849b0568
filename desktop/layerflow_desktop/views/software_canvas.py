"""The picture drawn by the CPU, in a thread: for machines without OpenGL, and for pictures without a screen."""

from __future__ import annotations

import os
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from PySide6.QtCore import QEvent, QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from layerflow_desktop.models.display import Bytes
from layerflow_desktop.models.document import ViewSettings
from layerflow_desktop.models.drawing import SideBySide, draw
from layerflow_desktop.models.framing import Framing
from layerflow_desktop.models.picture import Half, Scene
from layerflow_desktop.views.latest import Latest
from layerflow_desktop.views.looks import BESIDE, quick_transform, view_transform

DEFAULT_LIMIT_BYTES = 512 * 2**20  # of finished images: two hundred and more of a window's size, halved
SETTLE_MS = 150  # after so long without a change, what was shown in passing is drawn as it is to be
MAX_THREADS = 8

Key = tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Ask:
    """What is to be drawn."""

    scene: Scene
    settings: ViewSettings
    framing: Framing

    @property
    def key(self) -> Key:
        """The same for what looks the same, as long as its layers are in memory."""
        b = self.scene.b if self.settings.compare != "off" else None
        sides = tuple(
            (id(layer.pixels), layer.opacity, layer.offset_x, layer.offset_y, layer.scale, layer.adds)
            for shown in (self.scene.a, b)
            for layer in (shown.layers if shown else ())
        )
        settings = self.settings.with_(a="", b="")  # names, not pictures
        return len(self.scene.a.layers), sides, self.scene.colorspace, settings, self.framing

    @property
    def arrays(self) -> tuple[Half, ...]:
        """The layers that the key names by their place in memory."""
        return tuple(layer.pixels for shown in (self.scene.a, self.scene.b) if shown for layer in shown.layers)


class Finished(NamedTuple):
    """An image, and where it lies in the view."""

    ask: Ask
    image: QImage
    is_final: bool


class _Kept(NamedTuple):
    arrays: tuple[weakref.ref[Half], ...]
    image: QImage
    corner: tuple[int, int]
    is_final: bool


class Images:
    """Finished images within a limit: a loop that was played once is only copied to the screen."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.num_bytes = 0
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, ask: Ask) -> _Kept | None:
        """The image of `ask`; None where there is none of these very layers."""
        kept = self._kept.get(ask.key)
        if kept is None:
            return None
        if any(one() is None for one in kept.arrays):  # an id is given again once its array is gone
            self._drop(ask.key)
            return None
        self._kept.move_to_end(ask.key)
        return kept

    def put(self, finished: Finished) -> None:
        """Keeps an image, and drops those that were shown longest ago beyond the limit."""
        self._drop(finished.ask.key)
        arrays = tuple(weakref.ref(array) for array in finished.ask.arrays)
        corner = finished.ask.framing.shown()[:2]
        self._kept[finished.ask.key] = _Kept(arrays, finished.image, corner, finished.is_final)
        self.num_bytes += finished.image.sizeInBytes()
        self.set_limit(self.limit_bytes)

    def set_limit(self, limit_bytes: int) -> None:
        """Keeps no more than that from now on."""
        self.limit_bytes = limit_bytes
        while self.num_bytes > limit_bytes and len(self._kept) > 1:
            self._drop(next(iter(self._kept)))

    def clear(self) -> None:
        """Drops all."""
        self._kept.clear()
        self.num_bytes = 0

    def _drop(self, key: Key) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self.num_bytes -= kept.image.sizeInBytes()


class SoftwareCanvas(QWidget):
    """Shows the last image that is finished, and has the next one drawn in a thread."""

    failed = Signal(str)  # one sentence: what is asked for cannot be drawn

    kind = "software"

    def __init__(self, parent: QWidget | None = None, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        super().__init__(parent)
        self.setObjectName("canvas")
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.images = Images(limit_bytes)
        self._latest = Latest(self, self._take_finished, self._fail, "layerflow-canvas")
        self._bands = ThreadPoolExecutor(num_threads(), "layerflow-bands")
        bands = self._bands
        self.destroyed.connect(lambda: bands.shutdown(wait=False, cancel_futures=True))
        self._asked: Ask | None = None
        self._is_moving = False
        self._shown: tuple[QImage, tuple[int, int]] | None = None
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MS)
        self._settle.timeout.connect(self._draw_finally)

    def show_scene(self, scene: Scene | None, settings: ViewSettings, framing: Framing | None) -> None:
        """Shows a scene, at once where its image is finished."""
        self._settle.stop()
        if scene is None or framing is None:
            self._asked = self._shown = None
            self.update()
            return
        self._asked = ask = Ask(scene, settings, framing)
        kept = self.images.get(ask)
        if kept is None:
            self._latest.ask(lambda: _finish(ask, False, self._bands.map))
            return
        self._shown = (kept.image, kept.corner)
        self.update()
        if not kept.is_final:
            self._settle_soon()

    def set_moving(self, is_moving: bool) -> None:
        """While it plays nothing is drawn as it is to be: that takes twice as long, and the next picture waits."""
        self._is_moving = is_moving
        if is_moving:
            self._settle.stop()
        elif self._asked is not None:
            self._settle_soon()

    def picture_as_shown(self) -> QImage:
        """The whole picture, a pixel for a pixel; null where there is none."""
        if self._asked is None:
            return QImage()
        ask = self._asked
        whole = Framing(ask.scene.width, ask.scene.height, ask.scene.width, ask.scene.height)
        return _finish(replace(ask, framing=whole), True, map).image

    grab_display = picture_as_shown

    def wait_idle(self, timeout_ms: int = 10_000) -> bool:
        """Whether all that was asked for is drawn, in time."""
        if not self._latest.wait_idle(timeout_ms):
            return False
        if self._settle.isActive():
            self._settle.stop()
            self._draw_finally()
        return self._latest.wait_idle(timeout_ms)

    def release(self) -> None:
        """Ends the thread and forgets all images."""
        self._settle.stop()
        self._latest.close()
        self._bands.shutdown(wait=False, cancel_futures=True)
        self.images.clear()
        self._asked = self._shown = None

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        painter = QPainter(self)
        painter.fillRect(event.rect(), QColor.fromRgbF(*BESIDE))
        if self._shown is not None:
            image, corner = self._shown
            painter.scale(1 / self.devicePixelRatioF(), 1 / self.devicePixelRatioF())
            painter.drawImage(QPoint(*corner), image)
        painter.end()

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802
        self.update()
        super().changeEvent(event)

    def _draw_finally(self) -> None:
        ask = self._asked
        kept = self.images.get(ask) if ask is not None else None
        if ask is not None and not (kept and kept.is_final):
            self._latest.ask(lambda: _finish(ask, True, lambda band, rows: self._while_asked(ask, band, rows)))

    def _while_asked(self, ask: Ask, band: Callable[[int], None], rows: Iterable[int]) -> Iterator[None]:
        """Draws bands until another picture is asked for: a slow view holds up no scrubbing."""
        return self._bands.map(lambda row: band(row) if self._asked is ask else None, rows)

    def _fail(self, message: str) -> None:
        self.failed.emit(message)

    def _take_finished(self, finished: Finished) -> None:
        is_asked = finished.ask is self._asked
        if finished.is_final and not is_asked:
            return  # perhaps without its last bands
        self.images.put(finished)
        if self._asked is not None:  # the newest that is there, even if one asked for another since
            self._shown = (finished.image, finished.ask.framing.shown()[:2])
            self.update()
        if is_asked and not finished.is_final:
            self._settle_soon()

    def _settle_soon(self) -> None:
        if not self._is_moving:
            self._settle.start()


def num_threads() -> int:
    """Of those that draw: one core is left to the interface."""
    return max(1, min(MAX_THREADS, (os.cpu_count() or 1) - 1))


def _finish(ask: Ask, is_final: bool, side_by_side: SideBySide) -> Finished:
    """What was asked for; if not `is_final`, nearly, and soon."""
    made = view_transform if is_final else quick_transform
    transform = made(ask.settings.display, ask.settings.view, ask.scene.colorspace)
    pixels = draw(ask.scene, ask.settings, ask.framing, transform, is_final, side_by_side)
    return Finished(ask, _image(pixels), is_final)


def _image(pixels: Bytes) -> QImage:
    """An image in the form that is painted fastest, with memory of its own."""
    height, width = pixels.shape[:2]
    image = QImage(width, height, QImage.Format.Format_RGB32)
    if height and width:
        packed = np.frombuffer(image.bits(), np.uint32).reshape(height, width)
        channels = pixels.astype(np.uint32)
        packed[:] = 0xFF000000 | channels[..., 0] << 16 | channels[..., 1] << 8 | channels[..., 2]
    return image
