"""The commands that deal with takes and their jobs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QMessageBox, QWidget

from layerflow_desktop.controllers.blender import Take as BlenderTake
from layerflow_desktop.controllers.studio import Studio
from layerflow_desktop.models.document import LayerState, Take
from layerflow_desktop.models.exports import Exportable
from layerflow_desktop.models.layer_stack import RESIDUAL
from layerflow_desktop.models.looking import compared_with, take_beside
from layerflow_desktop.models.nuke_script import nuke_nodes
from layerflow_desktop.models.queue_row import Row
from layerflow_desktop.views.export_dialog import ExportDialog

_NO_TAKE = "There are no layers yet; press Generate, or open frames that LayerFlow made."


class TakeCommands:
    """What is done with takes. `window` is the parent of what it opens."""

    def __init__(self, studio: Studio, window: QWidget) -> None:
        self._studio, self._window = studio, window

    # Of the queue's lines.

    def open_row(self, row: Row) -> None:
        """Looks at the layers of a job, of this app or another."""
        take = self._take_of(row)
        if take is not None:
            self._studio.look_at(take.name)
        else:
            self._studio.open_layers(row.output)
        self._look_at_comp()

    def watch_row(self, row: Row) -> None:
        """Shows how a running job looks so far."""
        self._studio.previews.watch(row.id)

    def compare_row(self, row: Row) -> None:
        """Wipes between the take that is looked at and what a job made."""
        session = self._studio.session
        take = self._take_of(row) or self._studio.add_take(row.output)
        if session.document.current_take() in (None, take):
            self._studio.look_at(take.name)
            session.say("That is the take that is looked at; choose another one to compare it with.")
            return
        session.look(view=compared_with(session.document, take))

    # Of the take that is looked at.

    def step(self, steps: int) -> None:
        """Looks at the take so many further."""
        take = take_beside(self._studio.session.document, steps)
        if take is None:
            self._studio.session.say("There is no further take.")
        else:
            self._studio.look_at(take.name)
            self._studio.session.say(f"Take {take.name}.")

    def compare_with_previous(self) -> None:
        """Wipes between the take that is looked at and the one before."""
        session = self._studio.session
        take = take_beside(session.document, -1)
        if take is None:
            session.say("There is no take before this one; press Generate again to have two.")
        else:
            session.look(view=compared_with(session.document, take))

    def cancel(self) -> None:
        """Stops the job that is in hand."""
        take = self._studio.take_in_hand()
        if take is None or not take.job:
            self._studio.session.say("Nothing of this project is being made.")
        else:
            self._studio.queue.cancel(take.job)

    def reveal(self) -> None:
        """Opens the folder of the take's frames."""
        take = self._current()
        if take is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(Path(take.pattern).parent)))

    def copy_settings(self) -> None:
        """Copies the request that made the take."""
        take = self._current()
        if take is not None and take.request:
            QGuiApplication.clipboard().setText(json.dumps(take.request, indent=1, ensure_ascii=False))
            self._studio.session.say(f"Copied what {take.name} was made by.")
        elif take is not None:
            self._studio.session.say(f"What {take.name} was made by is not known; its frames were opened.")

    # Out of the app.

    def export(self) -> None:
        """Opens the export window."""
        take = self._with_frames()
        if take is None:
            return
        dialog = ExportDialog(self._studio.exporter, self._exportable(take), self._window)
        dialog.reveal_asked.connect(lambda path: QDesktopServices.openUrl(QUrl.fromLocalFile(str(Path(path).parent))))
        dialog.show()

    def copy_nuke(self) -> None:
        """Copies the comp as nodes that paste into Nuke."""
        take, clip = self._with_frames(), self._studio.stage.main
        if take is None or clip is None:
            return
        try:
            text = nuke_nodes(
                take.pattern,
                clip.frames[0],
                clip.frames[-1],
                self._layers(clip.layers),
                size=(clip.width, clip.height),
                fps=clip.fps,
                colorspace=clip.colorspace,
            )
        except ValueError as error:
            self._studio.session.say(str(error))
            return
        QGuiApplication.clipboard().setText(text)
        self._studio.session.say("Copied the comp; paste it into Nuke's node graph.")

    def send_to_blender(self) -> None:
        """Opens the layers in Blender's Sequencer."""
        take, clip = self._with_frames(), self._studio.stage.main
        if take is None or clip is None:
            return
        sent = BlenderTake(
            name=take.name,
            pattern=take.pattern,
            frames=clip.frames,
            layers=self._studio.session.document.layers,
            width=clip.width,
            height=clip.height,
            fps=clip.fps,
            colorspace=clip.colorspace,
            pixel_aspect=clip.pixel_aspect,
        )
        self._studio.session.say("Writing the layers for Blender.")
        self._studio.to_blender.send(sent, self._studio.preferences.blender)

    def about(self) -> None:
        """Says what this is."""
        QMessageBox.about(self._window, "LayerFlow Studio", _about())

    def _exportable(self, take: Take) -> Exportable:
        document, frames = self._studio.session.document, self._studio.stage.frames
        timeline = document.timeline
        return Exportable(take.pattern, frames, document.layers, timeline.mark_in, timeline.mark_out)

    def _layers(self, names: Sequence[str]) -> tuple[LayerState, ...]:
        """What is done with the layers, with what else belongs to an untouched recomposition."""
        residual = (LayerState(name=RESIDUAL),) if RESIDUAL in names else ()
        return (*self._studio.session.document.layers, *residual)

    def _take_of(self, row: Row) -> Take | None:
        takes = self._studio.session.document.takes
        return next((take for take in takes if row.id == take.job or row.output == take.pattern), None)

    def _current(self) -> Take | None:
        take = self._studio.session.document.current_take()
        if take is None:
            self._studio.session.say(_NO_TAKE)
        return take

    def _with_frames(self) -> Take | None:
        """The take that is looked at, if frames of it are there; says so where not."""
        take = self._current()
        main = self._studio.stage.main
        if take is not None and (main is None or main.text != take.pattern or not main.frames):
            self._studio.session.say(f"{take.name} has no frames yet; wait for them, or press Generate again.")
            return None
        return take

    def _look_at_comp(self) -> None:
        session = self._studio.session
        session.look(view=session.document.view.with_(a="comp"))


def _about() -> str:
    try:
        own = version("layerflow")
    except PackageNotFoundError:
        own = "of unknown version"
    return (
        f"<b>LayerFlow Studio</b> {own}<br><br>Layers of a shot: foreground with straight alpha, clean background, "
        "as scene-linear EXR.<br><br>Apache-2.0. The window is drawn by Qt, under the LGPL 3; "
        "colours are OpenColorIO’s, under the BSD 3-Clause licence."
    )
