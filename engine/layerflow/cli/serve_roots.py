"""The folders that a server's jobs may use: as given now, or once before, so that a host can start the server too."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from layerflow.errors import RequestError
from layerflow.files import output_errors
from layerflow.wire.private import read_private, write_private

ROOTS = "LAYERFLOW_ROOTS"


def choose_roots(given: tuple[Path, ...], file: Path) -> tuple[Path, ...]:
    """The roots `given`, those of LAYERFLOW_ROOTS, those in `file`, or home and temporary folder; links resolved.

    Raises RequestError for a folder that is asked for and not there; a remembered one may be on a disk that is away.
    """
    named = given or tuple(Path(part) for part in os.environ.get(ROOTS, "").split(os.pathsep) if part)
    for root in named:
        if not root.is_dir():
            raise RequestError(f"the root {root} is no folder; make it or choose another --root")
    found = named or tuple(root for root in _remembered(file) if root.is_dir())
    return tuple(root.resolve() for root in found or (Path.home(), Path(tempfile.gettempdir())))


def choose_spaces(given: Path | None, file: Path) -> Path | None:
    """The folder `given` for users' files, or the one in `file`; None for the server's own."""
    remembered = (read_private(file) or {}).get("spaces")
    return given.resolve() if given else Path(remembered) if isinstance(remembered, str) else None


def remember(file: Path, **folders: str | list[str]) -> None:
    """Has servers that are started without such folders take these. Raises OutputError."""
    with output_errors(file):
        write_private(file, {**(read_private(file) or {}), **folders})


def _remembered(file: Path) -> tuple[Path, ...]:
    found = (read_private(file) or {}).get("roots")
    texts = found if isinstance(found, list) else []
    return tuple(Path(text) for text in texts if isinstance(text, str) and Path(text).is_absolute())
