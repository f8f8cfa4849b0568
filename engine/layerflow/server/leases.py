"""The queue as its workers see it: a job is taken up by one worker, which alone may say how it goes."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psutil

from layerflow.server.rows import change, find, progress_of, tell, turn
from layerflow.server.store import Store
from layerflow.wire import Job, Progress

MAX_LOSSES = 3  # workers lost in a row, with no new frame between

# A worker takes what may run anywhere or on its device; and what no worker has a device for, so that it fails with the
# engine's own sentence. It leaves a job alone whose frames are being written: for another job, or by a worker that was
# to stop and has not let go yet.
_NEXT = """
    SELECT number FROM job AS next, worker AS own
    WHERE own.id = :worker AND next.state = 'queued'
    AND (next.asked_device IN ('auto', 'cpu', own.device) OR own.device LIKE next.asked_device || ':%' OR NOT EXISTS (
        SELECT 1 FROM worker
        WHERE worker.device = next.asked_device OR worker.device LIKE next.asked_device || ':%'))
    AND NOT EXISTS (SELECT 1 FROM job AS other WHERE other.worker IS NOT NULL AND other.output = next.output)
    ORDER BY next.position, next.number LIMIT 1
"""


@dataclass(frozen=True, kw_only=True)
class Lease:
    """One job in the hand of one worker. What it says after the job was taken from it changes nothing."""

    store: Store
    worker: str
    job: Job  # as it was taken up
    begun: bool  # whether a worker before came as far as opening the output
    owner: str = ""  # the user whose job it is

    def held(self) -> bool:
        """Whether the job is still to be worked on: not cancelled, paused or taken away."""
        with self.store.database.read() as connection:
            return self._is_running(find(connection, self.job.id))

    def progress(self, progress: Progress) -> None:
        """Says how far the job is."""
        with self._running(durable=False) as (connection, row):
            if row is not None:
                values = progress.to_dict()
                change(connection, self.job.id, progress=json.dumps(values), begun=True)
                tell(connection, self.job.id, "progress", self.store.clock(), values)

    def frame(self, path: str, progress: Progress) -> None:
        """Says that frames up to `path` are written; `progress` says how many. Nothing when that was said before."""
        done, total = progress.frames_done, progress.frames_total
        with self._running() as (connection, row):
            if row is not None and done > progress_of(row).frames_done:
                change(connection, self.job.id, progress=json.dumps(progress.to_dict()), losses=0)
                tell(connection, self.job.id, "frame", self.store.clock(), {"path": path, "done": done, "total": total})

    def warning(self, message: str) -> None:
        """Passes one sentence on to the artist. Nothing when that was said before."""
        with self._running() as (connection, row):
            said = [] if row is None else json.loads(row["warnings"])
            if row is not None and message not in said:
                change(connection, self.job.id, warnings=json.dumps([*said, message], ensure_ascii=False))
                tell(connection, self.job.id, "warning", self.store.clock(), {"message": message})

    def here(self) -> None:
        """Says nothing but that this worker is alive."""
        with self.store.database.write(durable=False) as connection:
            _seen(connection, self.worker, self.store.clock())

    def done(self, result: Mapping[str, Any]) -> None:
        """Ends the job: every frame is on disk."""
        self._settle("done", result=json.dumps(result), finished_at=self.store.clock())

    def failed(self, message: str) -> None:
        """Ends the job, for the reason in `message`."""
        self._settle("failed", message=message, finished_at=self.store.clock())

    def give_back(self) -> None:
        """Lets go of the job. If it is still to be worked on, it waits for the next worker."""
        self._settle("queued", message="the server stopped; it goes on from its last saved step")

    def _settle(self, state: str, **columns: Any) -> None:
        with self._running() as (connection, row):
            if row is not None:
                turn(connection, row, state, self.store.clock(), **columns)
            connection.execute("UPDATE job SET worker = NULL WHERE id = ? AND worker = ?", (self.job.id, self.worker))

    @contextlib.contextmanager
    def _running(self, *, durable: bool = True) -> Iterator[tuple[sqlite3.Connection, sqlite3.Row | None]]:
        """A transaction and the job's row, or None when the job is no longer to be worked on."""
        with self.store.database.write(durable=durable) as connection:
            row = find(connection, self.job.id)
            _seen(connection, self.worker, self.store.clock())
            yield connection, row if self._is_running(row) else None

    def _is_running(self, row: sqlite3.Row) -> bool:
        return bool(row["state"] == "running" and row["worker"] == self.worker)


def register(store: Store, worker: str, device: str) -> None:
    """Lets this process claim jobs for `device` as the worker with this id."""
    own = psutil.Process()
    with store.database.write() as connection:
        connection.execute(
            "INSERT INTO worker (id, device, pid, born_at) VALUES (?, ?, ?, ?)",
            (worker, device, own.pid, own.create_time()),
        )


def claim(store: Store, worker: str) -> Lease | None:
    """The next job for this worker, now running; None when there is none."""
    with store.database.read() as connection:
        if connection.execute(_NEXT, {"worker": worker}).fetchone() is None:
            return None  # most of the time, and then nobody is kept from writing
    with store.database.write() as connection:
        row = connection.execute(f"SELECT * FROM job WHERE number = ({_NEXT})", {"worker": worker}).fetchone()
        if row is None:
            return None
        now = store.clock()
        (device,) = connection.execute("SELECT device FROM worker WHERE id = ?", (worker,)).fetchone()
        started_at = now if row["started_at"] is None else row["started_at"]
        attempts = row["attempts"] + 1
        columns = {"worker": worker, "device": device, "message": "", "started_at": started_at, "attempts": attempts}
        job = turn(connection, row, "running", now, **columns)
        _seen(connection, worker, now)
        return Lease(store=store, worker=worker, job=job, begun=bool(row["begun"]), owner=row["owner"])


def _seen(connection: sqlite3.Connection, worker: str, at: float) -> None:
    connection.execute("UPDATE worker SET seen_at = ? WHERE id = ?", (at, worker))


def signs_of_life(store: Store) -> dict[str, float]:
    """When each worker that has a job in hand last gave one."""
    with store.database.read() as connection:
        return dict(
            connection.execute(
                "SELECT id, seen_at FROM worker WHERE EXISTS (SELECT 1 FROM job WHERE job.worker = worker.id)"
            ).fetchall()
        )


def kill(store: Store, worker: str) -> None:
    """Ends the process of a worker, which gets no chance to say anything."""
    with store.database.read() as connection:
        row = connection.execute("SELECT * FROM worker WHERE id = ?", (worker,)).fetchone()
    with contextlib.suppress(psutil.NoSuchProcess):
        if row is not None and (process := _process(row["pid"], row["born_at"])):
            process.kill()


def requeue_lost(store: Store, worker: str, reason: str, *, counts: bool = True) -> bool:
    """Takes what a worker that is gone had in hand; whether it was ever ready to work.

    `reason` says how it went, such as "killed by signal 9". The third time in a row that `counts` a job fails with it.
    """
    with store.database.write() as connection:
        for row in connection.execute("SELECT * FROM job WHERE worker = ?", (worker,)).fetchall():
            if row["state"] == "running":
                _lose(store, connection, row, reason, row["losses"] + counts)
            change(connection, row["id"], worker=None)
        return bool(connection.execute("DELETE FROM worker WHERE id = ?", (worker,)).rowcount)


def _lose(store: Store, connection: sqlite3.Connection, row: sqlite3.Row, reason: str, losses: int) -> None:
    now = store.clock()
    if losses < MAX_LOSSES:
        message = f"its worker was {reason}; it goes on from its last saved step"
        turn(connection, row, "queued", now, losses=losses, message=message)
    else:
        message = f"it lost {losses} workers in a row, the last was {reason}; look at its log, then retry it"
        turn(connection, row, "failed", now, losses=losses, message=message, finished_at=now)


def requeue_dead(store: Store, *, besides: Collection[str] = ()) -> None:
    """Takes what workers had in hand whose processes are gone, those `besides` left to who looks after them.

    It went with the server, or with the power of the whole machine: no job is blamed for that.
    """
    with store.database.read() as connection:
        workers = connection.execute("SELECT * FROM worker").fetchall()
    for row in workers:
        if row["id"] not in besides and _process(row["pid"], row["born_at"]) is None:
            requeue_lost(store, row["id"], "gone with the server", counts=False)


def _process(pid: int, born_at: float) -> psutil.Process | None:
    """The process that got `pid` at that time, if it is still there; another one may have its number since."""
    try:
        process = psutil.Process(pid)
        is_it = process.create_time() == born_at and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return None
    return process if is_it else None
