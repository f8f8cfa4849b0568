"""Small JSON files that only their owner can read or have written."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
from pathlib import Path
from typing import Any, Dict, Mapping, Optional

_MOST = 65536  # bytes
_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # no link, no waiting for a pipe


def write_private(path: Path, values: Mapping[str, Any]) -> None:
    """Writes a JSON object that its owner alone can read (0600); the file is there as a whole or not at all.

    Raises OSError. The folder is made, closed to everyone else, where it is missing.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(prefix=".{}.".format(path.name), dir=str(path.parent))  # 0600 from the start
    try:
        with open(handle, "w", encoding="utf-8") as file:
            json.dump(dict(values), file)
            file.flush()
            os.fsync(handle)
        os.replace(part, str(path))
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise


def read_private(path: Path) -> Optional[Dict[str, Any]]:
    """The JSON object in `path`; None unless it is whole, ours, and neither readable nor writable for anyone else."""
    try:
        handle = os.open(str(path), _FLAGS)
    except OSError:
        return None
    with open(handle, "rb") as file:
        if not _is_ours(os.fstat(handle)):
            return None
        try:
            values = json.loads(file.read(_MOST).decode("utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
    return values if isinstance(values, dict) else None


def _is_ours(found: os.stat_result) -> bool:
    """Whether a file is a plain one of this user's alone. Windows keeps the folder itself from others."""
    if not stat.S_ISREG(found.st_mode):
        return False
    return os.name != "posix" or (found.st_uid == os.geteuid() and not found.st_mode & 0o077)
