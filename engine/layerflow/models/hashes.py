"""What files hash to, and how often they have to be read for it."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

from layerflow.errors import OutputError
from layerflow.files import atomic_path, make_folder
from layerflow.models.cache import cache_path

LARGE = 64 << 20  # bytes; smaller files are read again in no time
MAX_KNOWN = 1000  # files


def file_sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class HashOnce:
    """sha256 of files. One that several models link to is read once."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], str] = {}

    def __call__(self, path: Path) -> str:
        file = path.stat()
        key = file.st_dev, file.st_ino
        if key not in self._known:
            self._known[key] = file_sha256(path)
        return self._known[key]


def remembered_sha256(path: Path) -> str:
    """Hex digest of a file's bytes; a large file is read once, and again when its size or time of change is another.

    Reading 7 GB takes ten seconds, and every shot would spend them. What is remembered is in the cache folder; when
    that cannot be read or written the file is read.
    """
    if path.stat().st_size < LARGE:
        return file_sha256(path)
    key, memory = _key(path), cache_path() / "hashes.json"
    known = _known(memory)
    if key not in known:
        digest = file_sha256(path)
        if _key(path) != key:  # it is being written
            return digest
        known = {key: digest, **known}
        _keep(memory, dict(list(known.items())[:MAX_KNOWN]))
    return known[key]


def _key(path: Path) -> str:
    file = path.stat()
    return f"{file.st_dev} {file.st_ino} {file.st_size} {file.st_mtime_ns}"


def _known(memory: Path) -> dict[str, str]:
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _keep(memory: Path, known: dict[str, str]) -> None:
    with contextlib.suppress(OSError, OutputError):
        make_folder(memory.parent)
        with atomic_path(memory) as part:
            part.write_text(json.dumps(known), encoding="utf-8")
