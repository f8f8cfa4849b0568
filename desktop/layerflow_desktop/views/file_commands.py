"""What is opened, saved, dropped and given on the command line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QMessageBox, QWidget

from layerflow_desktop.controllers.opening import Opened, kind_of
from layerflow_desktop.controllers.studio import Studio
from layerflow_desktop.models.project_file import SUFFIX

_PROJECTS = f"LayerFlow projects (*{SUFFIX})"
_ALL = (
    f"Projects, frames and movies (*{SUFFIX} *.exr *.dpx *.tif *.tiff *.png *.jpg *.jpeg *.mov *.mp4 *.m4v *.mkv *.mxf)"
)


class FileCommands:
    """The commands of the File menu that deal with projects and pictures."""

    def __init__(self, studio: Studio, window: QWidget) -> None:
        self._studio, self._window = studio, window

    def new(self) -> None:
        """An empty project, once the one that is open may go."""
        self.unless_unsaved(self._studio.projects.new)

    def choose(self) -> None:
        """Opens whatever file is chosen."""
        chosen, _ = QFileDialog.getOpenFileName(self._window, "Open", self._folder(), f"{_ALL};;All files (*)")
        if chosen:
            self.open([chosen])

    def choose_folder(self) -> None:
        """Opens the frames of the folder that is chosen."""
        chosen = QFileDialog.getExistingDirectory(self._window, "Open a folder of frames", self._folder())
        if chosen:
            self.open([chosen])

    def open(self, paths: Sequence[str]) -> None:
        """Opens a project, frames that LayerFlow wrote, or a plate; says what else it is."""
        self._studio.background.run(lambda: kind_of(paths), self._opened, self._studio.session.say)

    def save(self, then: Callable[[], None] = lambda: None) -> None:
        """Writes the project, into a file that is chosen where it has none."""
        if not self._studio.projects.save(then):
            self.save_as(then)

    def save_as(self, then: Callable[[], None] = lambda: None) -> None:
        """Writes the project into a file that is chosen."""
        begin = str(Path(self._folder()) / f"untitled{SUFFIX}")
        chosen, _ = QFileDialog.getSaveFileName(self._window, "Save the project", begin, _PROJECTS)
        if chosen:
            self._studio.projects.save_as(Path(chosen), then)

    def unless_unsaved(self, go_on: Callable[[], None]) -> None:
        """Calls `go_on`, after asking what becomes of changes that are not saved, where there is work in them."""
        session = self._studio.session
        if session.is_saved or not (self._studio.projects.path or session.document.takes):
            go_on()
            return
        box = QMessageBox(self._window)
        box.setObjectName("unsaved")
        box.setIcon(QMessageBox.Icon.Question)
        box.setText("Save the changes to this project?")
        box.setInformativeText("Frames that were made stay on disk either way.")
        buttons = QMessageBox.StandardButton
        box.setStandardButtons(buttons.Save | buttons.Discard | buttons.Cancel)
        box.setDefaultButton(buttons.Save)
        box.finished.connect(partial(self._answered, go_on))
        box.finished.connect(box.deleteLater)
        box.open()

    def _answered(self, go_on: Callable[[], None], answer: int) -> None:
        if answer == QMessageBox.StandardButton.Save:
            self.save(go_on)
        elif answer == QMessageBox.StandardButton.Discard:
            go_on()

    def _opened(self, opened: Opened) -> None:
        if opened.kind == "project":
            self.unless_unsaved(lambda: self._studio.projects.open(Path(opened.text)))
        elif opened.kind == "layers":
            self._studio.open_layers(opened.text)
        else:
            self._studio.open_plate(opened.text)

    def _folder(self) -> str:
        path = self._studio.projects.path
        plate = self._studio.session.document.shot.plate
        return str(path.parent if path else Path(plate).parent if plate else Path.home())
