"""What is in the spaces, written down: sizes for quotas, digests so that nothing is sent or read twice."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from layerflow.server.database import Database
from layerflow.server.errors import FileNotThereError, SpaceFullError
from layerflow.server.space_files import Entry, Upload, files_below, open_file
from layerflow.server.spaces import Space


class Ledger:
    """The spaces' files in a queue's file. Any thread and process may use it at the same time. Raises StoreError."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database, self._clock = database, clock

    def used(self, owner: str) -> tuple[int, int]:
        """How many bytes a space has, those on their way included, and how many files are whole."""
        with self._database.read() as connection:
            return _used(connection, owner)

    def refuse_when_full(self, space: Space, more: int = 0) -> None:
        """Raises SpaceFullError unless the space has room for so many bytes more."""
        with self._database.read() as connection:
            _refuse_when_full(connection, space, more)

    def begin(self, space: Space, upload: Upload) -> Upload | None:
        """Has `upload` count from now on, and gives the one of that name that it takes the place of.

        Raises SpaceFullError. It is one transaction: of two at a time, the second finds the first one's bytes.
        """
        key = (space.owner, upload.name)
        with self._database.write() as connection:
            before = _upload_of(connection, *key)
            connection.execute("DELETE FROM upload WHERE owner = ? AND name = ?", key)
            _refuse_when_full(connection, space, upload.size)
            connection.execute(
                "INSERT INTO upload (owner, name, size, sha256, modified_ns, touched_at) VALUES (?, ?, ?, ?, ?, ?)",
                (*key, upload.size, upload.sha256, upload.modified_ns, self._clock()),
            )
        return before

    def upload(self, owner: str, name: str) -> Upload:
        """The upload that has begun under that name, which goes on now. Raises FileNotThereError."""
        with self._database.write(durable=False) as connection:
            found = _upload_of(connection, owner, name)
            if found is None:
                raise FileNotThereError(f"no upload of {name} has begun; begin one with POST /v1/files")
            connection.execute(
                "UPDATE upload SET touched_at = ? WHERE owner = ? AND name = ?", (self._clock(), owner, name)
            )
        return found

    def drop_upload(self, owner: str, name: str) -> Upload | None:
        """Has the upload of that name count no more, and gives it, where there is one."""
        with self._database.write() as connection:
            row = connection.execute(
                "DELETE FROM upload WHERE owner = ? AND name = ? RETURNING *", (owner, name)
            ).fetchone()
        return None if row is None else _upload(row)

    def old_uploads(self, before: float) -> tuple[tuple[str, Upload], ...]:
        """Those that did not go on since that time, each with its owner."""
        with self._database.read() as connection:
            rows = connection.execute("SELECT * FROM upload WHERE touched_at < ?", (before,)).fetchall()
        return tuple((row["owner"], _upload(row)) for row in rows)

    def has(self, space: Space, upload: Upload) -> bool:
        """Whether the space has exactly this file."""
        try:
            found = self.look(space, upload.name)
        except FileNotThereError:
            return False
        return (found.size, found.sha256) == (upload.size, upload.sha256)

    def twin(self, space: Space, upload: Upload) -> Path | None:
        """Another file of the space with that content."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT name FROM file WHERE owner = ? AND sha256 = ? AND size = ?",
                (space.owner, upload.sha256, upload.size),
            ).fetchall()
        for (name,) in rows:
            if self.has(space, Upload(name=name, size=upload.size, sha256=upload.sha256)):
                return space.path_of(name)
        return None

    def look(self, space: Space, name: str) -> Entry:
        """A file of the space. Raises FileNotThereError, RequestError and OutsideError."""
        with self.opened(space, name) as (_, entry):
            return entry

    @contextmanager
    def opened(self, space: Space, name: str) -> Iterator[tuple[BufferedReader, Entry]]:
        """A file of the space to read, and what is in it: read once, and known until it changes. Raises as `look`."""
        with open_file(space, name) as file:
            found = os.fstat(file.fileno())
            sha256 = self._known(space.owner, name, found)
            if sha256 is None:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                file.seek(0)
                self._note(space.owner, name, found, sha256)
            yield file, Entry(name=name, size=found.st_size, sha256=sha256)

    def settle(self, space: Space, upload: Upload) -> None:
        """Says that an upload is whole and under its name."""
        owner = space.owner
        found = space.path_of(upload.name).stat()
        with self._database.write() as connection:
            connection.execute("DELETE FROM upload WHERE owner = ? AND name = ?", (owner, upload.name))
            _note(connection, owner, upload.name, found, upload.sha256)

    def forget(self, owner: str, name: str) -> tuple[Upload, ...]:
        """Drops what is known of a file or folder and of all below it, and gives the uploads among that."""
        below = "owner = :owner AND (name = :name OR substr(name, 1, length(:name) + 1) = :name || '/')"
        values = {"owner": owner, "name": name}
        with self._database.write() as connection:
            connection.execute(f"DELETE FROM file WHERE {below}", values)
            rows = connection.execute(f"DELETE FROM upload WHERE {below} RETURNING *", values).fetchall()
        return tuple(map(_upload, rows))

    def take_stock(self, space: Space) -> None:
        """Looks through the whole space: jobs write there too, and what they write counts."""
        owner = space.owner
        with self._database.read() as connection:
            rows = connection.execute("SELECT name, size, modified_ns FROM file WHERE owner = ?", (owner,)).fetchall()
        known = {row["name"]: (row["size"], row["modified_ns"]) for row in rows}
        found = {space.name_of(str(path)): state for path, state in files_below(space.folder)}
        new = {name: state for name, state in found.items() if known.get(name) != (state.st_size, state.st_mtime_ns)}
        gone = known.keys() - found.keys()
        if new or gone:
            with self._database.write() as connection:
                connection.executemany(
                    "DELETE FROM file WHERE owner = ? AND name = ?", [(owner, name) for name in gone]
                )
                for name, state in new.items():
                    _note(connection, owner, name, state, None)

    def _known(self, owner: str, name: str, found: os.stat_result) -> str | None:
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT sha256 FROM file WHERE (owner, name, size, modified_ns) = (?, ?, ?, ?)",
                (owner, name, found.st_size, found.st_mtime_ns),
            ).fetchone()
        return None if row is None else row["sha256"]

    def _note(self, owner: str, name: str, found: os.stat_result, sha256: str) -> None:
        with self._database.write(durable=False) as connection:
            _note(connection, owner, name, found, sha256)


def _note(connection: sqlite3.Connection, owner: str, name: str, found: os.stat_result, sha256: str | None) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO file (owner, name, size, modified_ns, sha256) VALUES (?, ?, ?, ?, ?)",
        (owner, name, found.st_size, found.st_mtime_ns, sha256),
    )


def _used(connection: sqlite3.Connection, owner: str) -> tuple[int, int]:
    bytes_used, files = connection.execute(
        "SELECT total(size) + (SELECT total(size) FROM upload WHERE owner = :owner), count(*) "
        "FROM file WHERE owner = :owner",
        {"owner": owner},
    ).fetchone()
    return int(bytes_used), int(files)


def _refuse_when_full(connection: sqlite3.Connection, space: Space, more: int) -> None:
    used, files = _used(connection, space.owner)
    if used + max(more, 1) > space.limit_bytes:
        raise SpaceFullError(
            f"your space holds {used / 1e9:.2f} GB in {files} files, of {space.limit_bytes / 1e9:.2f} GB that it "
            f"may hold, which leaves no room for {more / 1e9:.2f} GB more; delete plates and frames there that "
            "are done, as layerflow space delete does"
        )


def _upload_of(connection: sqlite3.Connection, owner: str, name: str) -> Upload | None:
    row = connection.execute("SELECT * FROM upload WHERE owner = ? AND name = ?", (owner, name)).fetchone()
    return None if row is None else _upload(row)


def _upload(row: sqlite3.Row) -> Upload:
    return Upload(**{name: row[name] for name in ("name", "size", "sha256", "modified_ns")})
