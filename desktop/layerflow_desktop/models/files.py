"""Files that are there as a whole or not at all, and where the app keeps its own."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

from platformdirs import user_state_path


def studio_folder() -> Path:
    """Where the app keeps what is no project: LAYERFLOW_STUDIO, else a folder of the user's state."""
    chosen = os.environ.get("LAYERFLOW_STUDIO")
    return Path(chosen) if chosen else user_state_path("layerflow") / "studio"


def write_whole(path: Path, text: str) -> None:
    """Writes a file: on disk before it has its name, and in the place of the one before at once. Raises OSError."""
    part = part_of(path)
    try:
        with part.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
    _sync_folder(path.parent)


def part_of(path: Path) -> Path:
    """A file beside it to write to first, of this thread alone."""
    return path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")


def _sync_folder(folder: Path) -> None:
    """Has the name on disk too, where a system can do that for a folder."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
