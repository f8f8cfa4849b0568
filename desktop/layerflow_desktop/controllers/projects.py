"""The file a session is of: new, open, save."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from psygnal import Signal

from layerflow_desktop.controllers.background import Background
from layerflow_desktop.controllers.recovery import Autosave
from layerflow_desktop.controllers.session import Session
from layerflow_desktop.models.document import Document
from layerflow_desktop.models.project_file import SUFFIX, ProjectError, load, save, whole
from layerflow_desktop.models.snapshots import Snapshot

APP = "LayerFlow Studio"

_Mark = tuple[int, int] | None  # of a file: when it was written, and its size


def _nothing() -> None:
    pass


class Projects:
    """Opens and saves away from the interface's thread; what goes wrong is one line in the status bar."""

    path_changed = Signal()
    title_changed = Signal(str)

    def __init__(
        self,
        session: Session,
        autosave: Autosave,
        background: Background,
        note_recent: Callable[[Path], None] = lambda path: None,
    ) -> None:
        self._session, self._autosave, self._background = session, autosave, background
        self._note_recent = note_recent
        self.path: Path | None = None
        self._mark: _Mark = None  # of the file as it was read or written here
        self._writes: list[Callable[[], None]] = []  # one at a time, and in order; the first is under way
        self._title = self.title
        session.changed.connect(self._retitle)
        session.history_changed.connect(self._retitle)

    @property
    def title(self) -> str:
        """What the window is called: "dog.lfstudio* – LayerFlow Studio"."""
        name = self.path.name if self.path else "Untitled"
        return f"{name}{'' if self._session.is_saved else '*'} – {APP}"

    def new(self) -> None:
        """An empty project in place of this one."""
        self._take_in(Document(), None, None)

    def open(self, path: Path, then: Callable[[], None] = _nothing) -> None:
        """The project in a file in place of this one, once it is read."""
        path = whole(path)

        def opened(found: tuple[Document, _Mark]) -> None:
            self._take_in(found[0], path, found[1])
            self._note_recent(path)
            then()

        self._background.run(lambda: (load(path), _mark_of(path)), opened, self._session.say)

    def recover(self, snapshot: Snapshot) -> None:
        """What an app that was killed has left, in place of this project; it is not saved yet."""
        try:
            document = self._autosave.recover(snapshot)
        except ProjectError as error:
            self._session.say(str(error))
            return
        path = Path(snapshot.project) if snapshot.project else None
        self._take_in(document, path, _mark_of(path) if path else None)
        self._session.mark_saved(Document())
        self._session.say(f"Recovered {path.name if path else 'a project that was never saved'}; save it to keep it.")

    def save(self, then: Callable[[], None] = _nothing) -> bool:
        """Writes the project, then calls `then`; False where it has no file yet, and `save_as` is next."""
        if self.path is None:
            return False
        path = self.path
        self._enqueue(lambda: self._write(path, then, lambda: _check_unchanged(path, self._mark)))
        return True

    def save_as(self, path: Path, then: Callable[[], None] = _nothing) -> None:
        """Writes the project into that file, which someone has agreed to replace, and goes on there."""
        path = whole(path)
        named = path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)
        check = _nothing if named == path else lambda: _check_new(named)
        self._enqueue(lambda: self._write(named, then, check))

    def _enqueue(self, write: Callable[[], None]) -> None:
        self._writes.append(write)
        if len(self._writes) == 1:
            write()

    def _write(self, path: Path, then: Callable[[], None], check: Callable[[], None]) -> None:
        document = self._session.document

        def write() -> _Mark:
            check()
            save(document, path)
            return _mark_of(path)

        def written(mark: _Mark) -> None:
            is_new, self.path, self._mark = path != self.path, path, mark
            self._session.mark_saved(document)
            self._tell_path(is_new)
            self._note_recent(path)
            self._session.say(f"Saved {path.name}.")
            self._end_write()
            then()

        def failed(message: str) -> None:
            self._session.say(message)
            self._end_write()

        self._background.run(write, written, failed)

    def _end_write(self) -> None:
        del self._writes[0]
        if self._writes:
            self._writes[0]()

    def _take_in(self, document: Document, path: Path | None, mark: _Mark) -> None:
        is_new, self.path, self._mark = path != self.path, path, mark
        self._session.open(document)
        self._tell_path(is_new)

    def _tell_path(self, is_new: bool) -> None:
        self._autosave.set_project(str(self.path or ""))
        self._retitle()
        if is_new:
            self.path_changed.emit()

    def _retitle(self, *_: object) -> None:
        if self.title != self._title:
            self._title = self.title
            self.title_changed.emit(self._title)


def _mark_of(path: Path) -> _Mark:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _check_unchanged(path: Path, mark: _Mark) -> None:
    now = _mark_of(path)
    if now is not None and now != mark:
        raise ProjectError(f"{path.name} was changed by another program since it was read here; save as another file")


def _check_new(path: Path) -> None:
    if path.exists():
        raise ProjectError(f"{path.name} is there already; choose it by its whole name to replace it")
