"""Which folder to let the engine use, where it may not use a path."""

from __future__ import annotations

import os
from pathlib import Path

_DEPTH = 1 if os.name == "nt" else 2  # names below the root, or the drive: /mnt/show, /home/other


def folder_to_allow(path: str) -> str:
    """The top of what a path belongs to, the disk it is on or the show; empty where that is the root of everything.

    Links are followed, as the engine does, and only folders that are there are named. Raises OSError.
    """
    whole = Path(path).resolve()
    inward = [*reversed(whole.parents), whole][1:]  # without the root
    folders = [folder for folder in inward if folder.is_dir()]
    mounts = [folder for folder in folders[_DEPTH - 1 :] if folder.is_mount()]
    tops = mounts or folders[:_DEPTH]
    return str(tops[-1]) if tops else ""
