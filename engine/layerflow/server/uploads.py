"""Files on their way into a space: chunk by chunk, kept when the connection or the server goes, whole or not there."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from layerflow.files import make_folder, output_errors, sync
from layerflow.server.errors import BadChecksumError, FileNotThereError, OutsideError, UploadError
from layerflow.server.hashing import Hashing
from layerflow.server.ledger import Ledger
from layerflow.server.space_files import Upload
from layerflow.server.spaces import Space

_LOCKS = 64  # two uploads with the same one wait for each other, that is all
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


class Uploads:
    """The uploads of one server, each chunk's place held against the file itself. Raises StoreError and OutputError."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._hashing = Hashing()
        self._locks = tuple(threading.Lock() for _ in range(_LOCKS))

    def begin(self, space: Space, upload: Upload) -> int:
        """How much of the file is there, so that the rest may follow: all of it where the space has that content.

        Raises RequestError, OutsideError, SpaceFullError, and UploadError where what came before was not that file.
        """
        final = space.path_of(upload.name)
        with self._alone(final):
            if self._ledger.has(space, upload):
                if other := self._ledger.drop_upload(space.owner, upload.name):
                    _remove(other.part(final))
                return upload.size
            before = self._ledger.begin(space, upload)
            part = upload.part(final)
            if before is not None and before.part(final) != part:
                _remove(before.part(final))
            if twin := self._ledger.twin(space, upload):
                _copy(twin, part)
            there = _size(part)
            if there > upload.size:
                _remove(part)
                there = 0
            if there == upload.size:
                self._finish(space, upload, final)
            return there

    def append(self, space: Space, name: str, offset: int, chunk: bytes, sha256: bytes) -> Upload:
        """Puts `chunk` behind the first `offset` bytes. With the last one the file gets its name.

        Raises FileNotThereError, BadChecksumError, and UploadError where it has not come so far, or further, or turns
        out to be another file than was said.
        """
        final = space.path_of(name)
        with self._alone(final):
            upload = self._ledger.upload(space.owner, name)
            part = upload.part(final)
            there = _size(part)
            if there != offset:
                raise UploadError(f"{there} bytes of {name} are there and not {offset}; go on from there", there)
            if there + len(chunk) > upload.size:
                raise UploadError(f"{name} was to have {upload.size} bytes and these are more; begin it anew", there)
            if hashlib.sha256(chunk).digest() != sha256:
                raise BadChecksumError("these bytes are not those that the digest is of; send them again")
            _append(part, chunk)
            self._hashing.add(part, there, chunk)
            if there + len(chunk) == upload.size:
                self._finish(space, upload, final)
            return upload

    def delete(self, space: Space, name: str) -> None:
        """Removes a file, or a folder with all below it, whole or on their way. Raises FileNotThereError."""
        path = space.path_of(name)
        if path.resolve() != path:
            raise OutsideError(f"{name} leads through a link; give the name of what it leads to", name, ())
        is_there = path.exists()
        uploads = self._ledger.forget(space.owner, name)
        if not (is_there or uploads):
            raise FileNotThereError(f"there is no file or folder {name}; nothing was deleted")
        with output_errors(path):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        for upload in uploads:
            _remove(upload.part(space.path_of(upload.name)))

    def _finish(self, space: Space, upload: Upload, final: Path) -> None:
        part = upload.part(final)
        if upload.size == 0:
            _append(part, b"")
        with output_errors(part):
            found = self._hashing.digest(part, upload.size)
        if found != upload.sha256:
            _remove(part)
            raise UploadError(f"what came of {upload.name} is not the file that was said; send it again", 0)
        with output_errors(final):
            if upload.modified_ns is not None and part.stat().st_nlink == 1:  # another name's time stays as it is
                os.utime(part, ns=(time.time_ns(), upload.modified_ns))
            sync(part)
            part.replace(final)
            if os.name == "posix":
                sync(final.parent)
        self._ledger.settle(space, upload)

    @contextlib.contextmanager
    def _alone(self, final: Path) -> Iterator[None]:
        with self._locks[hash(final) % _LOCKS]:
            yield


def drop_old(ledger: Ledger, spaces: Path, before: float) -> None:
    """Drops uploads that did not go on since that time, and their bytes."""
    for owner, upload in ledger.old_uploads(before):
        ledger.drop_upload(owner, upload.name)
        _remove(upload.part(Space.below(spaces, owner).path_of(upload.name)))


def _append(part: Path, chunk: bytes) -> None:
    make_folder(part.parent)
    with output_errors(part), os.fdopen(os.open(part, _APPEND, 0o666), "ab") as file:
        file.write(chunk)


def _copy(source: Path, part: Path) -> None:
    """The same content under another name; where the disk can, without a second copy of it."""
    make_folder(part.parent)
    _remove(part)
    with output_errors(part):
        try:
            os.link(source, part)
        except OSError:
            shutil.copyfile(source, part)


def _size(part: Path) -> int:
    return part.lstat().st_size if part.is_file() else 0


def _remove(part: Path) -> None:
    with output_errors(part):
        part.unlink(missing_ok=True)
