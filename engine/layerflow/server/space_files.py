"""The files of a space as they lie on disk: whole under their names, or beside them on their way."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from layerflow.server.errors import FileNotThereError
from layerflow.server.spaces import Space

PART = re.compile(r"\.[0-9a-f]{32}\.part")  # of an upload that has begun

_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One whole file of a space."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Upload:
    """One file on its way into a space."""

    name: str
    size: int
    sha256: str
    modified_ns: int | None = None  # when it was last changed where it comes from

    def part(self, final: Path) -> Path:
        """Where it is kept beside `final` until it is whole; another content goes elsewhere."""
        return final.with_name(f".{hashlib.sha256(f'{self.sha256} {final.name}'.encode()).hexdigest()[:32]}.part")


def open_file(space: Space, name: str) -> BufferedReader:
    """A file of the space to read. Raises FileNotThereError, RequestError and OutsideError."""
    try:
        file = os.fdopen(os.open(space.path_of(name), _FLAGS), "rb")
    except OSError as error:
        raise FileNotThereError(f"there is no file {name}; upload it, or look at the names of the job") from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise FileNotThereError(f"{name} is no file; give the name of one")
    return file


def files_below(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Every file below `folder` but links and uploads; what goes away meanwhile is left out."""
    for place, _, names in os.walk(folder):
        for name in names:
            if PART.fullmatch(name):
                continue
            path = Path(place, name)
            try:
                state = path.lstat()
            except FileNotFoundError:
                continue
            if stat.S_ISREG(state.st_mode):
                yield path, state
