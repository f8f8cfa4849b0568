"""The engine's queue: the jobs of every host, as they are now, and what can be done to them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

from psygnal import Signal

from layerflow.wire import Job, JobEvent
from layerflow.wire.client import Client
from layerflow.wire.errors import ServerError
from layerflow.wire.following import Following
from layerflow.wire.pace import Pace
from layerflow_desktop.controllers.background import Background
from layerflow_desktop.controllers.engine import JOIN_S, Engine
from layerflow_desktop.models.queue_row import Row, row_of

TELL_S = 0.1  # the least between two tellings
PAUSE_S = 1.0  # after a server that could not be listened to


class Queue:
    """All jobs, in the order in which they are made. What is here belongs to the interface's thread."""

    changed = Signal()  # ten times a second at most

    def __init__(self, engine: Engine, background: Background, say: Callable[[str], None] = lambda text: None) -> None:
        self._engine, self._background, self._say = engine, background, say
        self._rows: tuple[Row, ...] = ()
        self._has_looked = False
        self._book = _Book()
        self._closed = threading.Event()
        self._following: Following | None = None
        self._threads = [
            threading.Thread(target=self._follow, name="layerflow queue", daemon=True),
            threading.Thread(target=self._tell, name="layerflow queue rows", daemon=True),
        ]

    @property
    def rows(self) -> tuple[Row, ...]:
        """The jobs, in their order."""
        return self._rows

    @property
    def has_looked(self) -> bool:
        """Whether the engine has told of its jobs since the app came up."""
        return self._has_looked

    def find(self, job: str) -> Row | None:
        """The line of a job; None where the engine knows of none such."""
        return next((row for row in self._rows if row.id == job), None)

    def open(self) -> None:
        """Begins to listen."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Ends the threads; jobs go on."""
        self._closed.set()
        self._book.close()
        following = self._following
        if following is not None:
            following.stop()
        until = time.monotonic() + JOIN_S
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, until - time.monotonic()))

    def note(self, job: Job) -> None:
        """Takes in a job that the engine has just told of, before its event comes. For any thread."""
        self._book.put(job)

    # What artists do. Each returns at once; what cannot be is said in one sentence.

    def cancel(self, job: str) -> None:
        """Has a job made no further."""
        self._do(lambda client: client.cancel(job))

    def retry(self, job: str) -> None:
        """Has a job that failed or was cancelled go on from its last saved step."""
        self._do(lambda client: client.retry(job))

    def pause(self, job: str) -> None:
        """Has a job wait."""
        self._do(lambda client: client.pause(job))

    def resume(self, job: str) -> None:
        """Has a paused job go on."""
        self._do(lambda client: client.resume(job))

    def move_before(self, job: str, other: str | None) -> None:
        """Has a waiting job made just before another one, or last."""
        self._do(lambda client: client.move(job, other))

    def move_up(self, job: str) -> None:
        """Has a waiting job made before the one that is before it."""
        waiting, at = self._waiting(job)
        if at > 0:
            self.move_before(job, waiting[at - 1])
        elif at == 0:
            self._say("That job is the next one already.")

    def move_down(self, job: str) -> None:
        """Has a waiting job made after the one that is behind it."""
        waiting, at = self._waiting(job)
        if 0 <= at < len(waiting) - 1:
            self.move_before(job, waiting[at + 2] if at + 2 < len(waiting) else None)
        elif at >= 0:
            self._say("That job is the last one already.")

    def log(self, job: str, then: Callable[[str], None]) -> None:
        """Has `then` told what the engine wrote down while it made a job."""
        self._background.run(lambda: self._engine.client().log(job), then, self._say)

    def _waiting(self, job: str) -> tuple[list[str], int]:
        """The jobs that can be moved, and the place of `job` among them; -1 where it cannot be."""
        waiting = [row.id for row in self._rows if row.can("move")]
        if job not in waiting:
            self._say("Only a waiting job can be moved; this one is not waiting.")
            return waiting, -1
        return waiting, waiting.index(job)

    def _do(self, verb: Callable[[Client], Job]) -> None:
        self._background.run(lambda: verb(self._engine.client()), self.note, self._say)

    # The threads.

    def _follow(self) -> None:
        while not self._closed.is_set():
            if self._engine.wait_ready(PAUSE_S):
                with contextlib.suppress(ServerError, ValueError):  # the engine itself says that it is away
                    self._listen(self._engine.client(start=False))
                self._engine.check()
                self._closed.wait(PAUSE_S)

    def _listen(self, client: Client) -> None:
        """Takes in all jobs there are, then everything that happens to them."""
        look = client.look()
        self._book.begin(look.jobs)
        following = self._following = client.follow(after=look.event)
        if self._closed.is_set():
            return
        with contextlib.closing(following.events()) as events:
            for event in events:
                self._book.take(event)

    def _tell(self) -> None:
        while not self._closed.is_set():
            rows = self._book.news()
            if rows is not None and not self._closed.is_set():
                self._post_rows(rows)
            self._closed.wait(TELL_S)

    def _post_rows(self, rows: tuple[Row, ...]) -> None:
        def take() -> None:
            if not self._closed.is_set():
                self._rows, self._has_looked = rows, True
                self.changed.emit()

        self._engine.post(take)


class _Book:
    """The jobs between the thread that hears of them and the one that tells."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._paces: dict[str, Pace] = {}
        self._news = threading.Condition()
        self._has_news = self._is_begun = self._is_closed = False

    def begin(self, jobs: list[Job]) -> None:
        """These are all jobs."""
        with self._news:
            self._jobs = {job.id: job for job in jobs}
            self._paces = {id_: pace for id_, pace in self._paces.items() if id_ in self._jobs}
            self._is_begun = True
            self._notify()

    def put(self, job: Job) -> None:
        """A job that may be new. Of one that is known, the events tell in their order, which an answer may not."""
        with self._news:
            self._jobs.setdefault(job.id, job)
            self._notify()

    def take(self, event: JobEvent) -> None:
        """One thing that happened. ValueError where it tells of no job that can be."""
        with self._news:
            job = self._jobs.get(event.job)
            if job is None and event.kind != "state":
                return
            self._jobs[event.job] = Job.from_dict(event.data) if job is None else job.after(event)
            self._paces.setdefault(event.job, Pace()).note(event)
            if self._jobs[event.job].is_final:
                del self._paces[event.job]
            self._notify()

    def close(self) -> None:
        """Has `news` return, now and from now on."""
        with self._news:
            self._is_closed = True
            self._news.notify_all()

    def news(self) -> tuple[Row, ...] | None:
        """The rows once something has changed; None where nothing more will."""
        with self._news:
            self._news.wait_for(lambda: self._is_closed or (self._has_news and self._is_begun))
            if self._is_closed:
                return None
            self._has_news = False
            jobs = sorted(self._jobs.values(), key=lambda job: job.position)
            return tuple(row_of(job, self._left_s(job)) for job in jobs)

    def _left_s(self, job: Job) -> float | None:
        pace = self._paces.get(job.id)
        return pace.left_s() if pace is not None and job.state == "running" else None

    def _notify(self) -> None:
        self._has_news = True
        self._news.notify_all()
