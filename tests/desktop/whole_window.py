"""The whole app in a test: the real window over real controllers, and an engine that the app starts for itself."""

from __future__ import annotations

import contextlib
import gc
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import OpenImageIO as oiio
import pytest
from pumping import home_of
from PySide6.QtCore import QEvent, QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDialog, QWidget

from layerflow_desktop.controllers.example import PLATE
from layerflow_desktop.controllers.studio import Studio
from layerflow_desktop.models.document import Document, Take
from layerflow_desktop.models.queue_row import Row
from layerflow_desktop.views import application
from layerflow_desktop.views.main_window import MainWindow
from layerflow_desktop.views.post import Poster

W = TypeVar("W", bound=QWidget)

MADE_MS = 120_000  # until a job is made, on a machine that has other things to do


class App:
    """The app as it runs, and what a test does to it."""

    def __init__(self, arguments: tuple[str, ...] = ()) -> None:
        self.poster = Poster()
        self.studio = Studio(self.poster)
        self.window = MainWindow(self.studio)
        self.said: list[str] = []
        self.studio.session.said.connect(self.said.append)
        self.studio.open()
        self.window.show()
        application._begin(self.window, arguments)

    @property
    def document(self) -> Document:
        return self.studio.session.document

    @property
    def viewer(self):
        return self.window.screen_.viewer

    def until(self, is_so: Callable[[], object], timeout_ms: int = MADE_MS) -> None:
        """Has the window work until something is so."""
        deadline = time.monotonic() + timeout_ms / 1000
        while not is_so():
            assert time.monotonic() < deadline, f"that never came about; said: {self.said[-4:]}"
            QTest.qWait(10)

    def find(self, kind: type[W], name: str) -> W:
        found = self.window.findChild(kind, name)
        assert found is not None, name
        return found

    def press(self, name: str) -> None:
        """Clicks a button as a mouse does."""
        button = self.find(QWidget, name)
        assert button.isVisible() and button.isEnabled(), name
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)

    def do(self, name: str) -> None:
        """Has a command of the menus done."""
        action = self.window.actions_by_name[name]
        assert action.isEnabled(), name
        action.trigger()

    def drop(self, on: QWidget, *paths: Path) -> None:
        """Drops files on a widget, as a file manager does."""
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
        middle, copies, left = QPointF(on.rect().center()), Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
        nothing = Qt.KeyboardModifier.NoModifier
        enter = QDragEnterEvent(middle.toPoint(), copies, data, left, nothing)
        QApplication.sendEvent(on, enter)
        assert enter.isAccepted()
        dropped = QDropEvent(middle, copies, data, left, nothing)
        QApplication.sendEvent(on, dropped)
        assert dropped.isAccepted()

    def row(self, take: Take) -> Row | None:
        return self.studio.queue.find(take.job) if take.job else None

    def has_come(self, take: str) -> bool:
        """Whether the layers of a take are made and in the viewer."""
        found = self.document.take_named(take)
        main, scene = self.studio.stage.main, self.studio.stage.scene
        if found is None or main is None or scene is None:
            return False
        row = self.row(found)
        is_made = row is not None and row.state == "done" and len(main.frames) == row.job.progress.frames_total
        return is_made and self.document.take == take and main.text == found.pattern and len(scene.a.layers) > 1

    def made(self, take: str) -> Take:
        """That take once it has come."""
        self.until(lambda: self.has_come(take))
        found = self.document.take_named(take)
        assert found is not None
        return found

    def progress(self, take: str) -> int:
        """How many steps of a take that is being made are done; 0 before and after."""
        found = self.document.take_named(take)
        row = self.row(found) if found else None
        return row.job.progress.done if row is not None and row.state == "running" else 0

    def dialogs(self) -> list[QWidget]:
        return [each for each in QApplication.topLevelWidgets() if isinstance(each, QDialog) and each.isVisible()]

    def picture(self) -> np.ndarray:
        """The bytes [H, W, 3] of the picture as it is looked at."""
        assert self.viewer.wait_idle()
        image = self.viewer.picture_as_shown().convertToFormat(QImage.Format.Format_RGB32)
        rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), -1, 4)
        return rows[:, : image.width(), 2::-1].astype(float)

    def close(self) -> None:
        """Ends it as `application.run` does once the window is closed."""
        self.window.close_for_good()
        self.studio.close()
        self.window.deleteLater()
        self.poster.deleteLater()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@contextlib.contextmanager
def app(*arguments: str) -> Iterator[App]:
    """The app, opened with these arguments; closed when the block ends."""
    dressed = application.make_application()
    sheet, palette = dressed.styleSheet(), dressed.palette()
    opened = App(arguments)
    try:
        yield opened
    finally:
        opened.close()
        gc.collect()
        dressed.setStyleSheet(sheet)
        dressed.setPalette(palette)


@contextlib.contextmanager
def home(folder: Path) -> Iterator[Path]:
    """A machine on which the app never ran: everything that it and its engine keep is in `folder`."""
    with pytest.MonkeyPatch.context() as patch, home_of(folder):
        patch.setenv("LAYERFLOW_STUDIO", str(folder / "studio"))
        patch.setenv("XDG_DOCUMENTS_DIR", str(folder / "Documents"))
        yield folder


def example_frames(folder: Path, num_frames: int = 8, first: int = 1001) -> Path:
    """The first of a few frames of the example as a PNG sequence in `folder`."""
    import av

    folder.mkdir(parents=True, exist_ok=True)
    with av.open(str(PLATE)) as movie:
        for number, frame in zip(range(first, first + num_frames), movie.decode(video=0), strict=False):
            write_png(folder / f"parrot.{number:04d}.png", frame.to_ndarray(format="rgb24"))
    return folder / f"parrot.{first:04d}.png"


def write_png(path: Path, pixels: np.ndarray) -> None:
    height, width, channels = pixels.shape
    out = oiio.ImageOutput.create(str(path))
    assert out.open(str(path), oiio.ImageSpec(width, height, channels, oiio.UINT8))
    out.write_image(np.ascontiguousarray(pixels))
    out.close()


def planes(take: Take, frame: int) -> dict[str, np.ndarray]:
    """The channels of a frame of a take as its file has them, by name."""
    path = take.pattern % frame
    source = oiio.ImageInput.open(path)
    assert source is not None, path
    spec = source.spec()
    pixels = source.read_image(oiio.HALF)
    source.close()
    return {name: pixels[..., at] for at, name in enumerate(spec.channelnames)}


def moved(folder: Path, to: Path) -> Path:
    """The folder at another place."""
    shutil.move(str(folder), str(to))
    return to
