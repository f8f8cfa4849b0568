"""The file of a running server: its address and its token."""

from __future__ import annotations

import contextlib
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Optional
from urllib.parse import urlsplit

from layerflow.wire import checks, places
from layerflow.wire.private import read_private, write_private

API = 1  # the version of the API that this wire speaks


@dataclass(frozen=True)
class RunningServer:
    """Where a server listens and what it wants to be shown. The token stays out of every repr."""

    url: str  # http://127.0.0.1:8765
    token: str = field(repr=False)
    pid: int
    api: int
    version: str = ""
    certificate: str = ""  # PEM file of its own certificate, where it speaks TLS: trusted on this user's word alone

    def __post_init__(self) -> None:
        checks.check_types(self)
        parts = urlsplit(self.url)
        plain = not (parts.query or parts.fragment or parts.username or parts.path.strip("/"))
        if parts.scheme not in ("http", "https") or not parts.hostname or not plain or parts.port == 0:
            raise ValueError("the server's address is like http://127.0.0.1:8765, got {!r}".format(self.url))
        if not (self.token.isascii() and self.token.isprintable() and self.token.strip()) or self.pid <= 0:
            raise ValueError("the server's token and process are not usable")


def publish(server: RunningServer) -> None:
    """Writes the file that tells this user's hosts of `server`. Raises OSError."""
    write_private(places.server_file(), asdict(server))


def withdraw(server: RunningServer) -> None:
    """Removes that file, unless it tells of another server by now."""
    if published() == server:
        with contextlib.suppress(FileNotFoundError):
            places.server_file().unlink()


def published(runtime: Optional[Path] = None) -> Optional[RunningServer]:
    """The server that the file in the runtime folder (default: this user's own) tells of.

    None without one, or where it is damaged, not ours or of a dead process.
    """
    values = read_private(places.server_file(runtime)) or {}
    try:
        server = RunningServer(**{each.name: values.get(each.name, each.default) for each in fields(RunningServer)})
    except ValueError:
        return None
    return server if _is_alive(server.pid) else None


def _is_alive(pid: int) -> bool:
    """Whether a process of ours has this number."""
    if os.name != "posix":
        return True  # os.kill would end it there; whether it answers has to do
    try:
        os.kill(pid, 0)
    except (OSError, OverflowError):  # another user's is not our server
        return False
    return True
