"""A lock between processes. The system holds it, so that a process that dies leaves none behind."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Iterator

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


@contextlib.contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Whether the block has the lock on `path` to itself; never waits. Raises OSError where no file can be made."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(str(path), os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        yield _take(handle)
    finally:
        os.close(handle)


def _take(handle: int) -> bool:
    try:
        if sys.platform == "win32":
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
