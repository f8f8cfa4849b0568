"""The queue's file: SQLite in WAL mode, one connection for each thread, one writer at a time."""

from __future__ import annotations

import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from layerflow.server.errors import StoreError
from layerflow.wire.jobs import STATES

BUSY_S = 20.0  # how long a thread waits for another one's transaction; each takes milliseconds

# What each version of the file adds to the one before; `user_version` counts them.
# `number` is the order of submission and `position` the order of work. `worker` has the job in hand: it stays set after
# a cancel, pause or retry until that worker has let go, so that no second one writes the same frames meanwhile.
# `seen_at` is when a worker with a job in hand last said anything, be it only that it is there.
# `owner` is the user whose job or file it is; the machine's own jobs have none. `file` holds what is known of the files
# in spaces, with a digest once somebody needed it, and `upload` what is only on its way and counts as whole.
MIGRATIONS = (
    (
        f"""
        CREATE TABLE job (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            key TEXT UNIQUE,
            state TEXT NOT NULL CHECK (state IN {STATES!r}),
            request TEXT NOT NULL,
            output TEXT NOT NULL,
            asked_device TEXT NOT NULL,
            label TEXT NOT NULL,
            overwrite INTEGER NOT NULL,
            position INTEGER NOT NULL,
            created_at REAL NOT NULL,
            started_at REAL,
            finished_at REAL,
            attempts INTEGER NOT NULL DEFAULT 0,
            losses INTEGER NOT NULL DEFAULT 0,
            begun INTEGER NOT NULL DEFAULT 0,
            device TEXT,
            worker TEXT REFERENCES worker (id),
            progress TEXT NOT NULL,
            message TEXT NOT NULL DEFAULT '',
            warnings TEXT NOT NULL DEFAULT '[]',
            result TEXT
        )
        """,
        "CREATE INDEX job_by_position ON job (position)",
        "CREATE INDEX job_by_state ON job (state, position)",
        "CREATE INDEX job_in_hand ON job (worker) WHERE worker IS NOT NULL",
        """
        CREATE TABLE event (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            job TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
            kind TEXT NOT NULL,
            at REAL NOT NULL,
            data TEXT NOT NULL
        )
        """,
        "CREATE INDEX event_by_job ON event (job, id)",
        """
        CREATE TABLE worker (
            id TEXT PRIMARY KEY,
            device TEXT NOT NULL,
            pid INTEGER NOT NULL,
            born_at REAL NOT NULL
        )
        """,
    ),
    ("ALTER TABLE worker ADD COLUMN seen_at REAL",),
    (
        "ALTER TABLE job ADD COLUMN owner TEXT NOT NULL DEFAULT ''",
        "CREATE INDEX job_by_owner ON job (owner, position)",
        """
        CREATE TABLE user (
            name TEXT PRIMARY KEY,
            digest TEXT NOT NULL,
            space_bytes INTEGER NOT NULL,
            jobs INTEGER NOT NULL,
            added_at REAL NOT NULL
        )
        """,
        """
        CREATE TABLE file (
            owner TEXT NOT NULL,
            name TEXT NOT NULL,
            size INTEGER NOT NULL,
            modified_ns INTEGER NOT NULL,
            sha256 TEXT,
            PRIMARY KEY (owner, name)
        )
        """,
        "CREATE INDEX file_by_content ON file (owner, sha256) WHERE sha256 IS NOT NULL",
        """
        CREATE TABLE upload (
            owner TEXT NOT NULL,
            name TEXT NOT NULL,
            size INTEGER NOT NULL,
            sha256 TEXT NOT NULL,
            modified_ns INTEGER,
            touched_at REAL NOT NULL,
            PRIMARY KEY (owner, name)
        )
        """,
    ),
)

_SENTENCES = {
    sqlite3.SQLITE_FULL: "the disk is full, the queue in {} was not changed; free some space there and try again",
    sqlite3.SQLITE_BUSY: "the queue in {} is in use by another program for too long; try again",
    sqlite3.SQLITE_READONLY: "the queue in {} may only be read; give its folder write permission",
    sqlite3.SQLITE_CANTOPEN: "the queue in {} cannot be opened; check its folder and permissions",
    sqlite3.SQLITE_IOERR: "the queue in {} could not be read or written; check its disk",
    sqlite3.SQLITE_CORRUPT: "the queue in {} is damaged; move the file away to start with an empty one",
    sqlite3.SQLITE_NOTADB: "the queue in {} is not a file of LayerFlow; move it away or choose another folder",
}


class _Connection(sqlite3.Connection):
    """One that can be known of without being kept."""


class Database:
    """The queue's file at `path`, made when it is not there. Raises StoreError, here and in every transaction."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._own = threading.local()
        self._all: weakref.WeakSet[sqlite3.Connection] = weakref.WeakSet()
        with self._errors():
            _use_wal(self._connection())
            self._migrate()

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """This thread's connection, for one statement that changes nothing."""
        with self._errors():
            yield self._connection()

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """This thread's connection in a transaction that is the only one; undone when the block raises.

        With `durable` it is on disk when the block ends; without, a power cut may take it back, and nothing but it.
        """
        with self._errors():
            connection = self._connection()
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                yield connection

    def close(self) -> None:
        """Closes this thread's connection."""
        if connection := vars(self._own).pop("connection", None):
            connection.close()

    def close_all(self) -> None:
        """Closes the connections of all threads, none of which may use it any more; the last to go tidies the file."""
        for connection in tuple(self._all):
            connection.close()

    def _connection(self) -> sqlite3.Connection:
        if "connection" not in vars(self._own):
            connection = sqlite3.connect(
                self.path, timeout=BUSY_S, isolation_level=None, factory=_Connection, check_same_thread=False
            )
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA foreign_keys = ON")
            self._own.connection = connection
            self._all.add(connection)
        return self._own.connection  # type: ignore[no-any-return]

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            sentence = _SENTENCES.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
            if sentence is None:
                raise
            raise StoreError(sentence.format(self.path)) from error

    def _migrate(self) -> None:
        if self._version() == len(MIGRATIONS):
            return
        with self.write() as connection:
            version = self._version()
            if version > len(MIGRATIONS):
                raise StoreError(
                    f"the queue in {self.path} is of a newer LayerFlow; install that one, or choose another folder"
                )
            for statement in chain(*MIGRATIONS[version:]):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")

    def _version(self) -> int:
        (version,) = self._connection().execute("PRAGMA user_version").fetchone()
        return int(version)


def _use_wal(connection: sqlite3.Connection) -> None:
    """Turns WAL on, which the file remembers. SQLite does not wait for others here, so this does."""
    until = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)
