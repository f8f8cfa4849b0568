"""Versions of the packages that are installed. Each is read once: to parse what a package says of itself takes 7 ms."""

from __future__ import annotations

import functools
from importlib.metadata import version


@functools.cache
def version_of(package: str) -> str:
    """The installed version of `package`. Raises PackageNotFoundError where it is not installed."""
    return version(package)
