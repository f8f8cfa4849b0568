"""The queue as its clients see it: every call one transaction, every change of state held against the wire's table."""

from __future__ import annotations

import os
import sqlite3
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from layerflow.files import FramePattern, refused_as
from layerflow.server.database import Database
from layerflow.server.errors import JobStateError, QueueFullError
from layerflow.server.pages import Page, fitting
from layerflow.server.rows import NOTHING_YET, change, event_of, find, job_of, tell_state, turn
from layerflow.wire import Job, JobEvent, Request
from layerflow.wire.jobs import STATES, check_label, state_after

MAX_WAITING = 1000  # jobs queued or paused
GAP = 2**20  # between positions, so that one job can be put between two others

_WAITING = "state IN ('queued', 'paused')"


class Store:
    """The queue in the file `path`. Any thread and any process may use it at the same time. Raises StoreError."""

    def __init__(self, path: Path, *, max_waiting: int = MAX_WAITING, clock: Callable[[], float] = time.time) -> None:
        self.database = Database(path)
        self.max_waiting = max_waiting
        self.clock = clock

    def submit(
        self,
        request: Request,
        *,
        label: str = "",
        overwrite: bool = False,
        key: str | None = None,
        owner: str = "",
        most: int | None = None,
    ) -> tuple[Job, bool]:
        """The new job at the end of the queue, and True; or the one that came with the same `key` before, and False.

        Keys are each owner's own. Raises QueueFullError, also where `most` jobs of the owner wait already,
        JobStateError for a key that came with another request, and ValueError for a bad label.
        """
        check_label(label)
        if key is not None and owner:
            key = f"{owner} {key}"  # neither of them holds a space
        text, sequence = request.to_json(), _sequence_of(request.output)  # before anybody has to wait for us
        with self.database.write() as connection:
            before = connection.execute("SELECT * FROM job WHERE key = ?", (key,)).fetchone()
            if before is not None:
                if (before["request"], before["label"], bool(before["overwrite"])) != (text, label, overwrite):
                    raise JobStateError("this Idempotency-Key came with another request before; use a new one")
                return job_of(before), False
            self._refuse_when_full(connection)
            if most is not None and self._waiting(connection, owner) >= most:
                raise QueueFullError(f"{most} jobs of yours are waiting, which is all that may; cancel one or wait")
            columns = {
                "id": uuid.uuid4().hex,
                "key": key,
                "owner": owner,
                "state": "queued",
                "request": text,
                "output": sequence,
                "asked_device": request.device,
                "label": label,
                "overwrite": overwrite,
                "position": _end(connection),
                "created_at": self.clock(),
                "progress": NOTHING_YET,
            }
            names = ", ".join(columns)
            values = ", ".join(f":{name}" for name in columns)
            row = connection.execute(f"INSERT INTO job ({names}) VALUES ({values}) RETURNING *", columns).fetchone()
            return tell_state(connection, row, self.clock()), True

    def _refuse_when_full(self, connection: sqlite3.Connection) -> None:
        waiting = self._waiting(connection)
        if waiting >= self.max_waiting:
            raise QueueFullError(f"{waiting} jobs are waiting already, which is all that may; try again later")

    def _waiting(self, connection: sqlite3.Connection, owner: str | None = None) -> int:
        where = _WAITING if owner is None else f"{_WAITING} AND owner = :owner"
        (count,) = connection.execute(f"SELECT count(*) FROM job WHERE {where}", {"owner": owner}).fetchone()
        return int(count)

    def waiting(self, owner: str) -> int:
        """How many jobs of this owner wait."""
        with self.database.read() as connection:
            return self._waiting(connection, owner)

    def get(self, job: str, *, owner: str | None = None) -> Job:
        """The job with this id, whoever's or of this owner. Raises JobNotFoundError."""
        with self.database.read() as connection:
            return job_of(find(connection, job, owner))

    def page(
        self,
        *,
        state: str | None = None,
        label: str | None = None,
        owner: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Page:
        """At most `limit` jobs in the order of the queue, behind the job `after`. Raises JobNotFoundError.

        Fewer, where they name so many frames that a client would not take them at a time.
        """
        wanted = {"state": state, "label": label, "owner": owner}
        conditions = [f"{name} = :{name}" for name, value in wanted.items() if value is not None]
        event = self.last_event()
        with self.database.read() as connection:
            if after is not None:
                last = find(connection, after, owner)
                wanted |= {"position": last["position"], "number": last["number"]}
                conditions.append("(position, number) > (:position, :number)")
            where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
            rows = connection.execute(
                f"SELECT * FROM job {where} ORDER BY position, number LIMIT :limit", {**wanted, "limit": limit + 1}
            )
            with closing(rows):
                jobs, is_last = fitting(rows, limit)
        return Page(jobs=jobs, next=None if is_last else jobs[-1]["id"], event=event)

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""
        with self.database.read() as connection:
            return dict.fromkeys(STATES, 0) | dict(
                connection.execute("SELECT state, count(*) FROM job GROUP BY state").fetchall()
            )

    def ask(self, verb: str, job: str, *, owner: str | None = None) -> Job:
        """The job after "cancel", "retry", "pause" or "resume". Raises JobNotFoundError and JobStateError.

        A running job's worker stops at its next step. Its finished frames and its state stay beside each other, so
        that "resume", and "retry" of a cancelled or failed one, go on from there.
        """
        with self.database.write() as connection:
            row = find(connection, job, owner)
            with refused_as(JobStateError):
                state = state_after(verb, row["state"])
            return turn(connection, row, state, self.clock(), **self._columns(verb, connection))

    def _columns(self, verb: str, connection: sqlite3.Connection) -> dict[str, Any]:
        """What else changes in a job, besides its state."""
        if verb == "cancel":
            return {"message": "", "finished_at": self.clock()}
        if verb == "retry":
            anew = {"started_at": None, "finished_at": None, "losses": 0, "progress": NOTHING_YET}
            return {"message": "", "position": _end(connection), **anew}
        return {"message": "", "losses": 0}

    def move(self, job: str, before: str | None, *, owner: str | None = None) -> Job:
        """The waiting job, now to be taken up just before the waiting job `before`, or last.

        Raises JobNotFoundError and JobStateError.
        """
        with self.database.write() as connection:
            row = find(connection, job, owner)
            target = None if before is None else find(connection, before, owner)
            for each in (row, target):
                if each is not None and each["state"] not in ("queued", "paused"):
                    raise JobStateError(f"a {each['state']} job has no place in the queue; only a waiting one can move")
            if before == job:
                return job_of(row)
            position = _end(connection) if target is None else self._place_before(connection, target)
            return tell_state(connection, change(connection, job, position=position), self.clock())

    def _place_before(self, connection: sqlite3.Connection, target: sqlite3.Row) -> int:
        position: int = target["position"]
        (below,) = connection.execute("SELECT max(position) FROM job WHERE position < ?", (position,)).fetchone()
        if below is None:
            return position - GAP
        if position - below > 1:
            return int((below + position) // 2)
        self._spread(connection)
        return self._place_before(connection, find(connection, target["id"]))

    def _spread(self, connection: sqlite3.Connection) -> None:
        """Makes room between all jobs, and tells the new places of those that wait."""
        rows = connection.execute("SELECT id, state FROM job ORDER BY position, number").fetchall()
        for place, row in enumerate(rows, start=1):
            after = change(connection, row["id"], position=place * GAP)
            if row["state"] in ("queued", "paused"):
                tell_state(connection, after, self.clock())

    def forget(self, before: float) -> None:
        """Drops jobs that ended before that time, and all that was told of them."""
        with self.database.write() as connection:
            connection.execute("DELETE FROM job WHERE finished_at < ? AND worker IS NULL", (before,))

    def events_after(self, event: int, *, job: str | None = None, limit: int = 1000) -> tuple[JobEvent, ...]:
        """What happened after the event with this id, oldest first: at most `limit`, of all jobs or of one."""
        return tuple(each for each, _ in self.owned_events_after(event, job=job, limit=limit))

    def owned_events_after(
        self, event: int, *, job: str | None = None, owner: str | None = None, limit: int = 1000
    ) -> tuple[tuple[JobEvent, str], ...]:
        """As `events_after`, each with the owner of its job; those of one owner's jobs where that is given."""
        wanted = {"event.job": job, "owner": owner}
        conditions = "".join(f" AND {name} = ?" for name, value in wanted.items() if value is not None)
        with self.database.read() as connection:
            rows = connection.execute(
                "SELECT event.*, owner FROM event CROSS JOIN job ON job.id = event.job "
                f"WHERE event.id > ? {conditions} ORDER BY event.id LIMIT ?",
                (event, *(value for value in wanted.values() if value is not None), limit),
            ).fetchall()
        return tuple((event_of(row), row["owner"]) for row in rows)

    def last_event(self) -> int:
        """The id of the last event so far; 0 when there was none. Cheap enough to be asked many times a second."""
        with self.database.read() as connection:
            row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'event'").fetchone()
            return int(row["seq"]) if row else 0


def _sequence_of(output: str) -> str:
    """What one worker at a time writes to, whatever links lead there and however the frame number is asked for."""
    pattern = FramePattern.parse(output)
    return os.path.normcase(os.path.join(os.path.realpath(pattern.folder), pattern.prefix))  # noqa: PTH118 - no folder


def _end(connection: sqlite3.Connection) -> int:
    """The position behind all others."""
    return int(connection.execute("SELECT coalesce(max(position), 0) + ? FROM job", (GAP,)).fetchone()[0])
