"""Rows of the queue's file to jobs and events, and the one way in which a job changes its state."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from layerflow.server.errors import JobNotFoundError, JobStateError
from layerflow.wire import Job, JobEvent, Progress
from layerflow.wire.jobs import can_go

KEEP_EVENTS_S = 3600.0  # after which all of a finished job's events but the last are forgotten

NOTHING_YET = json.dumps(Progress().to_dict())

_PLAIN = (
    "id",
    "state",
    "label",
    "position",
    "created_at",
    "started_at",
    "finished_at",
    "attempts",
    "device",
    "message",
)


def values_of(row: sqlite3.Row) -> dict[str, Any]:
    """The job of a row as `Job.to_dict` tells it: of a whole queue a tenth of the time that checked values take."""
    return {
        **{name: row[name] for name in _PLAIN},
        "request": json.loads(row["request"]),
        "overwrite": bool(row["overwrite"]),
        "progress": json.loads(row["progress"]),
        "warnings": json.loads(row["warnings"]),
        "result": None if row["result"] is None else json.loads(row["result"]),
    }


def job_of(row: sqlite3.Row) -> Job:
    """The job of a row."""
    return Job.from_dict(values_of(row))


def progress_of(row: sqlite3.Row) -> Progress:
    """How far the job of a row is."""
    return Progress.from_dict(json.loads(row["progress"]))


def event_of(row: sqlite3.Row) -> JobEvent:
    """The event of a row."""
    return JobEvent(id=row["id"], job=row["job"], kind=row["kind"], at=row["at"], data=json.loads(row["data"]))


def find(connection: sqlite3.Connection, job: str, owner: str | None = None) -> sqlite3.Row:
    """The row of the job with this id. Raises JobNotFoundError, also for one that is not of this `owner`."""
    row = connection.execute("SELECT * FROM job WHERE id = ?", (job,)).fetchone()
    if row is None or owner not in (None, row["owner"]):
        raise JobNotFoundError(f"there is no job {job[:40]}; layerflow jobs list shows those there are")
    return row  # type: ignore[no-any-return]


def change(connection: sqlite3.Connection, job: str, **columns: Any) -> sqlite3.Row:
    """The row of a job after `columns` of it were set."""
    names = ", ".join(f"{name} = :{name}" for name in columns)
    return connection.execute(  # type: ignore[no-any-return]
        f"UPDATE job SET {names} WHERE id = :id RETURNING *", {**columns, "id": job}
    ).fetchone()


def turn(connection: sqlite3.Connection, row: sqlite3.Row, state: str, at: float, **columns: Any) -> Job:
    """The job of `row` in its new state, which is told. Raises JobStateError where the table has no such step."""
    if not can_go(row["state"], state):
        raise JobStateError(f"a {row['state']} job cannot become {state}; look at it again")
    after = change(connection, row["id"], state=state, **columns)
    if after["finished_at"] is not None:
        _forget_old_events(connection, at)
    return tell_state(connection, after, at)


def tell_state(connection: sqlite3.Connection, row: sqlite3.Row, at: float) -> Job:
    """The job of `row`, which is told as it is now."""
    tell(connection, row["id"], "state", at, values_of(row))
    return job_of(row)


def tell(connection: sqlite3.Connection, job: str, kind: str, at: float, data: Mapping[str, Any]) -> None:
    """Writes down an event. Of a job's progress only the latest is kept."""
    if kind == "progress":
        connection.execute("DELETE FROM event WHERE job = ? AND kind = ?", (job, kind))
    connection.execute(
        "INSERT INTO event (job, kind, at, data) VALUES (?, ?, ?, ?)",
        (job, kind, at, json.dumps(data, ensure_ascii=False)),
    )


def _forget_old_events(connection: sqlite3.Connection, now: float) -> None:
    connection.execute(
        """
        DELETE FROM event WHERE at < :before
        AND EXISTS (SELECT 1 FROM job WHERE job.id = event.job AND job.finished_at < :before)
        AND id < (SELECT max(id) FROM event AS last WHERE last.job = event.job)
        """,
        {"before": now - KEEP_EVENTS_S},
    )
