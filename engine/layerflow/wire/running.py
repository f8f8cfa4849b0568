"""The file of a running server: its address and its token."""

from __future__ import annotations

import contextlib
import os
import ssl
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Optional
from urllib.parse import urlsplit

from layerflow.wire import checks, places
from layerflow.wire.private import read_private, write_private

_PARTIAL_CHAIN = 0x80000  # of OpenSSL: a trusted certificate needs no other above it

API = 1  # the version of the API that this wire speaks


@dataclass(frozen=True)
class RunningServer:
    """Where a server listens and what it wants to be shown. The token stays out of every repr."""

    url: str  # http://127.0.0.1:8477
    token: str = field(repr=False)
    pid: int
    api: int
    version: str = ""
    certificate: str = ""  # PEM file of its own certificate, where it speaks TLS: trusted on this user's word alone

    REMEDY: ClassVar[str] = "start it with layerflow serve"  # where it does not answer

    def __post_init__(self) -> None:
        checks.check_types(self)
        check_address(self.url, self.token)
        if self.pid <= 0:
            raise ValueError("the server's process is not usable")

    def trust(self) -> ssl.SSLContext:
        """Of TLS: for the holder of its certificate's key, by whatever name; or for whom the system trusts."""
        context = trusting(cafile=self.certificate or None)
        context.check_hostname = not self.certificate
        return context

    def told(self, value: Any) -> Any:
        """What it tells, with paths as they are here."""
        return value


def check_address(url: str, token: str) -> None:
    """ValueError unless a server can be at that address and want that token."""
    parts = urlsplit(url)
    plain = not (parts.query or parts.fragment or parts.username or parts.path.strip("/"))
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain or parts.port == 0:
        raise ValueError("the server's address is like http://127.0.0.1:8477, got {!r}".format(url))
    if not (token.isascii() and token.isprintable() and token.strip()):
        raise ValueError("the server's token is not usable")


def trusting(cafile: Optional[str] = None, cadata: Optional[str] = None) -> ssl.SSLContext:
    """Trusts the certificates of a file or a text, or whom the system trusts. Raises OSError."""
    context = ssl.create_default_context(cafile=cafile, cadata=cadata)
    if cafile or cadata:
        context.verify_flags |= ssl.VerifyFlags(_PARTIAL_CHAIN)
    return context


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
