"""The project that is open, and every change to it."""

from __future__ import annotations

from collections.abc import Iterable

from psygnal import Signal

from layerflow_desktop.models.document import Document, TimelineState, ViewSettings
from layerflow_desktop.models.history import History
from layerflow_desktop.models.layer_stack import layers_for


class Session:
    """One document. All of its methods belong to the interface's thread."""

    changed = Signal(Document, Document)  # what it is now, and what it was before
    said = Signal(str)  # one line for the status bar
    history_changed = Signal()

    def __init__(self, document: Document | None = None) -> None:
        self._document = document or Document()
        self._saved = self._document
        self.history = History()

    @property
    def document(self) -> Document:
        """The project as it is."""
        return self._document

    @property
    def is_saved(self) -> bool:
        """Whether the file says the same, apart from how one looks at it."""
        names = [layer.name for layer in (*self._document.layers, *self._saved.layers)]
        return _work_of(self._document, names) == _work_of(self._saved, names)

    def edit(self, name: str, document: Document, merge: str = "") -> None:
        """Makes `document` the project, as one step that can be undone. `name` is what a menu calls it."""
        if document != self._document:
            self.history.note(name, self._document, merge)
            self._become(document)
            self.history_changed.emit()

    def look(self, view: ViewSettings | None = None, timeline: TimelineState | None = None) -> None:
        """Looks at it in another way, or at another frame; no step of its own."""
        changes = {"view": view, "timeline": timeline}
        self._become(self._document.with_(**{name: value for name, value in changes.items() if value is not None}))

    def amend(self, document: Document) -> None:
        """Makes `document` the project without a step: what a job tells is nobody's to undo."""
        self._become(document)

    def undo(self) -> None:
        """Takes the last step back."""
        self._step(self.history.undo(self._document))

    def redo(self) -> None:
        """Does again what was taken back last."""
        self._step(self.history.redo(self._document))

    def open(self, document: Document) -> None:
        """Another project in place of this one."""
        self.history.clear()
        self._saved = document
        self._become(document)
        self.history_changed.emit()

    def mark_saved(self, document: Document) -> None:
        """Notes that this is what the file says now."""
        self._saved = document
        self.history_changed.emit()

    def say(self, text: str) -> None:
        """One line for the status bar."""
        self.said.emit(text)

    def _step(self, document: Document | None) -> None:
        if document is None:
            return
        now = self._document
        kept = {"view": now.view, "timeline": now.timeline, "takes": now.takes}  # a take is on disk, undone or not
        take = now.take or document.take  # that a job is done is nobody's to undo either
        layers = layers_for([layer.name for layer in (*now.layers, *document.layers)], document.layers)
        self._become(document.with_(**kept, take=take, layers=layers))
        self.history_changed.emit()

    def _become(self, document: Document) -> None:
        before, self._document = self._document, document
        if document != before:
            self.changed.emit(document, before)


def _work_of(document: Document, names: Iterable[str]) -> Document:
    """The document without how one looks at it. A layer with which nothing is done says as little as none."""
    layers = layers_for(names, document.layers)
    return document.with_(view=ViewSettings(), timeline=TimelineState(), layers=layers)
