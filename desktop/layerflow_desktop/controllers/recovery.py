"""What one does not save is kept: a snapshot within a second of each change, gone again on a clean end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from layerflow_desktop.controllers.background import Post
from layerflow_desktop.controllers.session import Session
from layerflow_desktop.models.document import Document
from layerflow_desktop.models.snapshots import (
    Owner,
    Snapshot,
    discard,
    left_behind,
    recovery_folder,
    remove_snapshot,
    take_over,
    write_snapshot,
)

DELAY_S = 0.5


class Autosave:
    """Keeps the session's project in a file of this process. Its methods belong to the interface's thread.

    A thread of its own writes; `wait(event, seconds)` is how it lets changes gather.
    """

    def __init__(
        self,
        session: Session,
        post: Post,
        folder: Path | None = None,
        wait: Callable[[threading.Event, float], object] = threading.Event.wait,
    ) -> None:
        self._session = session
        self._post = post
        self._wait = wait
        self._owner = Owner.this()
        self.folder = folder or recovery_folder()
        self._guard = threading.Condition()
        self._file_guard = threading.Lock()  # one writer at a time
        self._wanted: tuple[str, Document] | None = None  # what the file should say; None: no file
        self._is_due = False
        self._closing = threading.Event()
        self._has_complained = False
        self.project = ""
        session.changed.connect(self._changed)
        session.history_changed.connect(self._saved)
        self._thread = threading.Thread(target=self._write_all, name="layerflow-autosave", daemon=True)
        self._thread.start()

    def set_project(self, path: str) -> None:
        """Notes which file the project is of."""
        self.project = path
        self._saved()

    def keep(self, document: Document) -> None:
        """Has that document on disk before it returns, with what changed since. Not in the interface's thread. OSError.

        What was saved needs no copy, and neither does what another project has replaced.
        """
        with self._file_guard:
            now, is_saved = self._session.document, self._session.is_saved
            is_open = {take.key for take in document.takes} <= {take.key for take in now.takes}
            if is_open and not is_saved and not self._closing.is_set():
                write_snapshot(self.folder, self._owner, self.project, now)

    def recoverable(self) -> tuple[Snapshot, ...]:
        """What apps that were killed have left; the latest first. Reads files."""
        return left_behind(self.folder)

    def recover(self, snapshot: Snapshot) -> Document:
        """The project of a snapshot, which is this process's from now on. Raises ProjectError."""
        return take_over(snapshot, self._owner)

    def discard(self, snapshot: Snapshot) -> None:
        """Leaves a snapshot unrecovered, for good. Raises OSError."""
        discard(snapshot)

    def close(self) -> None:
        """Ends the thread and takes the file away: nothing was lost."""
        self._session.changed.disconnect(self._changed, missing_ok=True)
        self._session.history_changed.disconnect(self._saved, missing_ok=True)
        with self._guard:
            self._wanted, self._is_due = None, True
            self._closing.set()
            self._guard.notify()
        self._thread.join()

    def _changed(self, now: Document, before: Document) -> None:
        is_work = (now.shot, now.takes, now.take, now.layers) != (before.shot, before.takes, before.take, before.layers)
        if is_work:  # playing and looking about is none
            self._want(None if self._session.is_saved else (self.project, now))

    def _saved(self) -> None:
        self._want(None if self._session.is_saved else (self.project, self._session.document))

    def _want(self, wanted: tuple[str, Document] | None) -> None:
        with self._guard:
            self._wanted, self._is_due = wanted, True
            self._guard.notify()

    def _write_all(self) -> None:
        while not self._closing.is_set():
            with self._guard:
                self._guard.wait_for(lambda: self._is_due)
            self._wait(self._closing, DELAY_S)
            with self._guard:
                wanted, self._is_due = self._wanted, False
            self._write(wanted)

    def _write(self, wanted: tuple[str, Document] | None) -> None:
        try:
            with self._file_guard:
                if wanted is None:
                    remove_snapshot(self.folder, self._owner)
                else:
                    write_snapshot(self.folder, self._owner, *wanted)
            self._has_complained = False
        except OSError as error:
            self._complain(error)

    def _complain(self, error: OSError) -> None:
        if not self._has_complained and not self._closing.is_set():
            self._has_complained = True
            text = f"cannot keep a copy in {self.folder} ({error.strerror or error}); save often"
            self._post(lambda: self._session.say(text))
