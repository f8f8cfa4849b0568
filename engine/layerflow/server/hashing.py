"""Digests of files that come chunk by chunk, taken as they come."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any


class Hashing:
    """Of the files that came lately; of any other, and after a restart, the file itself is read."""

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._states: OrderedDict[Path, tuple[int, Any]] = OrderedDict()  # how many bytes, and the digest so far

    def add(self, part: Path, offset: int, chunk: bytes) -> None:
        """Takes the chunk that was put behind the first `offset` bytes of `part`."""
        state = self._take(part, offset)
        if state is None:
            return
        state.update(chunk)
        with self._lock:
            self._states[part] = offset + len(chunk), state
            while len(self._states) > self._most:
                self._states.popitem(last=False)

    def digest(self, part: Path, size: int) -> str:
        """The SHA-256 of `part`, which is whole. Raises OSError."""
        state = self._take(part, size) if size else None
        if state is None:
            with part.open("rb") as file:
                state = hashlib.file_digest(file, "sha256")
        return str(state.hexdigest())

    def _take(self, part: Path, offset: int) -> Any:
        """The digest of so many bytes, which nobody else has from now on; None where it is not known."""
        with self._lock:
            known, state = self._states.pop(part, (0, None))
        return hashlib.sha256() if offset == 0 else state if known == offset else None
