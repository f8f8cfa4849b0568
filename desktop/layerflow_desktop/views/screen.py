"""The middle of the window: the viewer with its bar, the transport and the timeline."""

from __future__ import annotations

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from layerflow_desktop.controllers.studio import Studio
from layerflow_desktop.models.document import Document, ViewSettings
from layerflow_desktop.models.picture import Scene
from layerflow_desktop.models.probe import Values, values_at
from layerflow_desktop.models.sources import Source, layer_label
from layerflow_desktop.views.listening import listen
from layerflow_desktop.views.software_canvas import DEFAULT_LIMIT_BYTES, Images, SoftwareCanvas
from layerflow_desktop.views.timeline import Timeline
from layerflow_desktop.views.transport import Transport
from layerflow_desktop.views.viewer import Viewer
from layerflow_desktop.views.viewer_bar import ViewerBar
from layerflow_desktop.views.welcome import message_for

_IMAGES_SHARE = 8  # of the memory for frames, an eighth at most is for images
_LOOK_MS = 200  # between two looks at what is in memory


class Screen(QWidget):
    """Shows the stage and plays it."""

    files_dropped = Signal(list)
    message_button = Signal(str)

    def __init__(self, studio: Studio, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("screen")
        self._studio = studio
        self._pointer: tuple[int, int] | None = None
        self.bar, self.viewer = ViewerBar(self), Viewer(self)
        self.transport, self.timeline = Transport(studio.playback, self), Timeline(studio.playback, self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        for widget in (self.bar, self.viewer, self.transport, self.timeline):
            layout.addWidget(widget, stretch=int(widget is self.viewer))
        self._connect_viewer()
        self._connect_studio()
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK_MS)
        self._timer.timeout.connect(self._show_memory)
        self._timer.start()
        self._share_memory()
        self._show_view(studio.session.document.view)
        self.show_message()

    def set_alone(self, alone: bool) -> None:
        """The picture alone, or with all that is around it."""
        for widget in (self.bar, self.transport, self.timeline):
            widget.setVisible(not alone)

    def release(self) -> None:
        """Frees threads and what is on the GPU: before the window goes."""
        self._timer.stop()
        self.viewer.release()

    def leave_preview(self) -> None:
        """Shows the picture again; the job goes on."""
        self._studio.previews.watch("")
        if self.viewer.is_previewing:
            self.viewer.clear_preview()
            self.show_message()

    def show_message(self) -> None:
        """Says what there is to do while there is nothing to see."""
        stage = self._studio.stage
        if stage.scene is not None or stage.is_opening or self.viewer.is_previewing:
            self.viewer.set_message("")
            return
        engine = self._studio.engine
        message = message_for(self._studio.session.document, engine.state, engine.text, self._in_hand())
        self.viewer.set_message(message.title, message.text, message.buttons)

    def _connect_viewer(self) -> None:
        session = self._studio.session
        for widget in (self.bar, self.viewer):
            widget.settings_changed.connect(lambda view: session.look(view=view))
        self.viewer.zoom_changed.connect(self.bar.set_zoom)
        self.viewer.pointer_moved.connect(self._point)
        self.viewer.pointer_left.connect(self._leave)
        self.viewer.files_dropped.connect(self.files_dropped)
        self.viewer.message_button.connect(self.message_button)
        self.viewer.space_tapped.connect(self._studio.playback.toggle)
        self.viewer.failed.connect(session.say)
        self.viewer.layer_grabbed.connect(self._studio.moving.grab)
        self.viewer.layer_dragged.connect(self._studio.moving.drag)
        self.viewer.layer_dropped.connect(self._studio.moving.drop)

    def _connect_studio(self) -> None:
        listen(self, self._studio.session.changed, self._show_document)
        listen(self, self._studio.preferences_changed, self._share_memory)
        self.viewer.canvas_changed.connect(self._share_memory)
        listen(self, self._studio.playback.state_changed, self._show_playing)
        listen(self, self._studio.stage.scene_changed, self._show_scene)
        listen(self, self._studio.stage.sources_changed, self._show_sources)
        listen(self, self._studio.stage.clip_changed, self.show_message)
        listen(self, self._studio.engine.changed, self.show_message)
        listen(self, self._studio.queue.changed, self._show_job)
        listen(self, self._studio.previews.picture, self._show_preview)

    def _show_document(self, document: Document, before: Document) -> None:
        if document.view != before.view:  # and not with every frame
            self._show_view(document.view)
        if _looked_at(document) != _looked_at(before):
            self.leave_preview()
        if document.shot != before.shot or document.takes != before.takes:
            self.show_message()

    def _show_view(self, view: ViewSettings) -> None:
        self.bar.set_settings(view)
        self.viewer.set_settings(view)

    def _show_playing(self) -> None:
        self.viewer.set_moving(self._studio.playback.is_playing)

    def _show_scene(self, scene: Scene | None) -> None:
        self.viewer.set_scene(scene)
        self.show_message()
        self._probe()

    def _show_sources(self, sources: tuple[Source, ...]) -> None:
        self.bar.set_sources([(source.id, source.label) for source in sources])

    def _show_job(self) -> None:
        """Marks the frames that are being made, and lets go of the preview of a job that is over."""
        if self.viewer.is_previewing and not self._is_running(self._studio.previews.job):
            self.viewer.clear_preview()
        self.timeline.set_writing(self._studio.frames_in_hand())
        self.show_message()

    def _in_hand(self) -> str:
        """How the take that is being made stands; empty for none."""
        take = self._studio.take_in_hand()
        status = self._studio.generating.status_of(take) if take else None
        return status.text if status else ""

    def _show_preview(self, job: str, jpeg: bytes, caption: str) -> None:
        if self._is_running(job):  # else it comes too late, and nothing would take it away
            self.viewer.set_message("")
            self.viewer.show_preview(jpeg, caption)

    def _is_running(self, job: str) -> bool:
        row = self._studio.queue.find(job)
        return row is not None and row.state == "running"

    def _show_memory(self) -> None:
        cache, images = self._studio.cache, self._images()
        self.timeline.set_cached(self._studio.stage.cached_frames())
        self.transport.set_cache(
            cache.num_bytes + (images.num_bytes if images is not None else 0), self._studio.memory_limit_bytes
        )

    def _share_memory(self) -> None:
        """Keeps frames, and what a viewer without a GPU has drawn of them, within the one limit that is stated."""
        total, images = self._studio.memory_limit_bytes, self._images()
        share = min(DEFAULT_LIMIT_BYTES, total // _IMAGES_SHARE) if images is not None else 0
        if images is not None:
            images.set_limit(share)
        self._studio.cache.set_limit(total - share)

    def _images(self) -> Images | None:
        canvas = self.viewer.canvas
        return canvas.images if isinstance(canvas, SoftwareCanvas) else None

    def _point(self, x: int, y: int) -> None:
        self._pointer = (x, y)
        self._probe()

    def _leave(self) -> None:
        self._pointer = None
        self.viewer.set_probe_text("")

    def _probe(self) -> None:
        stage = self._studio.stage
        if self._pointer is None or stage.scene is None:
            return
        values = values_at(stage.layers_at(stage.scene.frame), stage.scene, *self._pointer)
        self.viewer.set_probe_text(probe_text(values) if values else "")


def _looked_at(document: Document) -> tuple[str, str, str]:
    """What one has chosen to see."""
    return document.take, document.view.a, document.view.compare


def probe_text(values: Values) -> str:
    """Values under the pointer, a line for the picture and one for each of its layers."""
    rows = [("Comp", values.comp), *((layer_label(name), rgba) for name, rgba in values.layers.items())]
    if values.other is not None:
        rows.insert(1, ("Compared", values.other))
    lines = [f"x {values.x}  y {values.y}  frame {values.frame}  {values.colorspace}"]
    lines += [f"{name:<13} {'  '.join(f'{value:8.4f}' for value in rgba)}" for name, rgba in rows]
    return "\n".join(lines)
