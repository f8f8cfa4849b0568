"""What is in files of this machine, by SHA-256: read once, and known until they change."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator, List, Optional, Tuple

from layerflow.wire import errors, places

_SETTLED_NS = 2 * 10**9  # a file that changed just before it was read may change again and keep its time
_BLOCK = 1 << 20  # bytes
_TABLE = (
    "CREATE TABLE IF NOT EXISTS file (path TEXT PRIMARY KEY, size INTEGER, modified_ns INTEGER, read_ns INTEGER, "
    "sha256 TEXT) WITHOUT ROWID"
)


@dataclass(frozen=True)
class Content:
    """What a file holds, as it was when it was looked at."""

    path: str
    size: int
    modified_ns: int
    sha256: str

    def check_unchanged(self, found: os.stat_result) -> None:
        """Raises LocalFile where the file is another one by now."""
        if (found.st_size, found.st_mtime_ns) != (self.size, self.modified_ns):
            raise errors.LocalFile(
                "{} was written to while it was sent; wait until it is whole, then ask again".format(self.path)
            )


class Digests:
    """The digests of files, kept in a file of this user's hosts. Any thread and process may use it at the same time."""

    def __init__(self, file: Optional[Path] = None) -> None:
        self._file = file or places.server_folder() / "digests.sqlite"

    def of(self, path: str, wanted: Callable[[], None] = lambda: None) -> Content:
        """What the file at a whole path holds; read where that is not known. `wanted` may end it by raising.

        Raises LocalFile.
        """
        with readable(path):
            found = os.stat(path)
            known = self._known(path, found)
            if known is not None:
                return Content(path, found.st_size, found.st_mtime_ns, known)
            read_ns = time.time_ns()
            sha256 = sha256_of(path, wanted)
        content = Content(path, found.st_size, found.st_mtime_ns, sha256)
        self._note(content, read_ns)
        return content

    def note(self, path: str, sha256: str) -> None:
        """Takes note of what a file holds that was just written. Raises LocalFile."""
        with readable(path):
            found = os.stat(path)
        self._note(Content(path, found.st_size, found.st_mtime_ns, sha256), time.time_ns())

    def gone(self, folder: str) -> List[str]:
        """Paths of files that were directly in `folder` when they were last looked at, and are there no more."""
        before = os.path.join(folder, "")
        with self._open() as database:
            rows = database.execute(
                "SELECT path FROM file WHERE path > ? AND path < ?", (before, before + chr(sys.maxunicode))
            ).fetchall()
        return [path for (path,) in rows if os.path.dirname(path) == folder and not os.path.exists(path)]

    def forget(self, path: str) -> None:
        """Knows nothing of a file any more."""
        with self._open() as database:
            database.execute("DELETE FROM file WHERE path = ?", (path,))

    def _known(self, path: str, found: os.stat_result) -> Optional[str]:
        with self._open() as database:
            row: Optional[Tuple[str]] = database.execute(
                "SELECT sha256 FROM file WHERE path = ? AND size = ? AND modified_ns = ? AND read_ns - modified_ns > ?",
                (path, found.st_size, found.st_mtime_ns, _SETTLED_NS),
            ).fetchone()
        return None if row is None else row[0]

    def _note(self, content: Content, read_ns: int) -> None:
        row = (content.path, content.size, content.modified_ns, read_ns, content.sha256)
        with self._open() as database:
            database.execute("INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?)", row)

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """The file of what is known, which is begun anew where it is damaged."""
        with _usable(self._file):
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            database = self._begun()
            with contextlib.closing(database), database:  # a transaction
                yield database

    def _begun(self) -> sqlite3.Connection:
        for damaged in (False, True):
            if damaged:
                self._file.unlink()
            database = sqlite3.connect(str(self._file), timeout=30.0)
            try:
                database.execute("PRAGMA synchronous = OFF")  # what a power cut takes is read again
                database.execute(_TABLE)
                return database
            except sqlite3.OperationalError:
                database.close()
                raise
            except sqlite3.DatabaseError:
                database.close()
        raise sqlite3.OperationalError("damaged again and again")


@contextlib.contextmanager
def readable(path: str) -> Iterator[None]:
    """Turns the system's word that a file cannot be used into a LocalFile."""
    try:
        yield
    except OSError as error:
        raise errors.LocalFile(
            "{} cannot be used ({}); see to the file and its folder".format(path, error.strerror or error)
        ) from error


@contextlib.contextmanager
def _usable(file: Path) -> Iterator[None]:
    try:
        with readable(str(file)):
            yield
    except sqlite3.Error as error:
        raise errors.LocalFile("{} cannot be used ({}); remove it".format(file, error)) from error


def sha256_of(path: str, wanted: Callable[[], None]) -> str:
    """Hex digest of a file; `wanted` may end it by raising. Raises OSError."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        block = file.read(_BLOCK)
        while block:
            wanted()
            digest.update(block)
            block = file.read(_BLOCK)
    return digest.hexdigest()
