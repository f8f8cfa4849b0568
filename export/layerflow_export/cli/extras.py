"""What a verb needs before it begins: parts that are not always installed, and a folder that is not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from layerflow.errors import OutputError, RequestError


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Turns an import that fails within it into a RequestError that names the extra to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise RequestError(f"{error.name} is not installed; pip install 'layerflow[{extra}]'") from error


def new_folder(output: Path) -> None:
    """Raises OutputError when the folder that is to be made is there."""
    if output.exists():
        raise OutputError(f"{output} is already there; remove it or choose another folder with -o")
