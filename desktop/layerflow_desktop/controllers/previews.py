"""How the job that is watched looks so far, while it runs."""

from __future__ import annotations

import contextlib
import threading

from psygnal import Signal

from layerflow.wire.errors import ServerError
from layerflow_desktop.controllers.engine import JOIN_S, Engine
from layerflow_desktop.controllers.queue import Queue

EVERY_S = 0.5  # between two pictures


class Previews:
    """Asks for pictures of one job at a time. What is here belongs to the interface's thread."""

    picture = Signal(str, bytes, str)  # the job, a JPEG, and what it shows

    def __init__(self, engine: Engine, queue: Queue, every_s: float = EVERY_S) -> None:
        self._engine, self._queue, self._every_s = engine, queue, every_s
        self._watched = ("", "")
        self._etag = ""
        self._caption = ""
        self._is_running, self._closed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="layerflow previews", daemon=True)
        queue.changed.connect(self._look)

    @property
    def job(self) -> str:
        """The job that is watched; empty where none is."""
        return self._watched[0]

    def open(self) -> None:
        """Begins."""
        self._thread.start()

    def watch(self, job: str, layer: str = "blended") -> None:
        """Shows how a layer of a job looks so far, from now on until it is over. An empty job: none."""
        self._watched, self._etag = (job, layer), ""
        self._look()

    def close(self) -> None:
        """Ends the thread."""
        self._closed.set()
        self._is_running.set()
        self._queue.changed.disconnect(self._look)
        if self._thread.is_alive():
            self._thread.join(JOIN_S)

    def _look(self) -> None:
        row = self._queue.find(self.job) if self.job else None
        if row is None or row.state != "running":
            self._is_running.clear()
            return
        self._caption = f"{self._watched[1].capitalize()} so far: {row.status.text}"
        self._is_running.set()

    def _work(self) -> None:
        while self._is_running.wait() and not self._closed.wait(self._every_s):
            with contextlib.suppress(ServerError, ValueError):  # the job goes on without a picture
                self._ask(self._watched)

    def _ask(self, watched: tuple[str, str]) -> None:
        job, layer = watched
        if not job:
            return
        found = self._engine.client(start=False).preview(job, layer, self._etag)
        if found is None or self._watched != watched:
            return
        self._etag = found.etag

        def show() -> None:
            if self._watched == watched and not self._closed.is_set():
                self.picture.emit(job, found.image, self._caption)

        self._engine.post(show)
