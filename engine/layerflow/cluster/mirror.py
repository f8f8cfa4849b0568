"""Files of one machine in a folder of another, each at its own path below it: for nodes that share no folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from layerflow.files import atomic_path, make_folder
from layerflow.wire import Request
from layerflow.wire.whole_paths import with_moved_paths


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """A file on its way: what it is, and where its bytes can be had."""

    size: int
    modified_ns: int
    content: Any  # a Ray reference

    @property
    def stamp(self) -> tuple[int, int]:
        """By which one file is told from what it was before."""
        return self.size, self.modified_ns


@dataclass(frozen=True)
class Mirror:
    """The copies below `root`."""

    root: Path

    def place(self, path: str) -> str:
        """Where the copy of a file is."""
        whole = Path(path)
        return str(self.root / whole.relative_to(whole.anchor))

    def origin(self, path: str) -> str:
        """The file that a path below `root` is the copy of; any other path as it is."""
        whole = Path(path)
        return os.sep + str(whole.relative_to(self.root)) if whole.is_relative_to(self.root) else path

    def moved(self, request: Request) -> Request:
        """The request by the paths of the copies. A model is no file of a shot, and has to be there."""
        return replace(with_moved_paths(request, self.place), model=request.model)

    def missing(self, files: Mapping[str, Parcel]) -> dict[str, Parcel]:
        """Those of `files` that are not here as they are now."""
        return {path: parcel for path, parcel in files.items() if _stamp(Path(self.place(path))) != parcel.stamp}

    def put(self, path: str, content: bytes, modified_ns: int) -> None:
        """Makes the copy of one file. Raises OutputError."""
        copy = Path(self.place(path))
        make_folder(copy.parent)
        with atomic_path(copy, durable=False) as part:
            part.write_bytes(content)
            os.utime(part, ns=(modified_ns, modified_ns))


def stamp_of(path: Path) -> tuple[int, int]:
    """Size in bytes and time of the last change in ns. Raises OSError."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        return stamp_of(path)
    except OSError:
        return None
