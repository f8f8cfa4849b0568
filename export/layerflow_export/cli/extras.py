"""What a verb needs that is not always installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from layerflow.errors import RequestError


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Turns an import that fails within it into a RequestError that names the extra to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise RequestError(f"{error.name} is not installed; pip install 'layerflow[{extra}]'") from error
