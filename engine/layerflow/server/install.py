"""The install that this process is of, and telling hosts of it."""

from __future__ import annotations

import sys

from layerflow.errors import OutputError
from layerflow.wire.starting import remember_install

COMMAND = (sys.executable, "-P", "-m", "layerflow.cli")


def remember_own_install() -> None:
    """Has hosts start this install from now on, be it on PATH or not. Raises OutputError."""
    try:
        remember_install(COMMAND)
    except OSError as error:
        raise OutputError(
            f"hosts cannot be told of this install ({error.strerror}); check the permissions of {error.filename}"
        ) from error
