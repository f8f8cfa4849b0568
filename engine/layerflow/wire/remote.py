"""The server on another machine that this user's hosts ask, where they do: its file, private to the user."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import socket
import ssl
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Optional
from urllib.parse import urlsplit

from layerflow.wire import checks, places
from layerflow.wire.private import read_private, write_private
from layerflow.wire.running import check_address, trusting
from layerflow.wire.space_names import SpaceNames

SWITCH = "LAYERFLOW_REMOTE"  # 0: this process asks the server on its own machine

_NO_NAME = re.compile("[^A-Za-z0-9._-]+")
_MOST_CERTIFICATES = 40000  # characters


@dataclass(frozen=True)
class RemoteServer:
    """Where it listens, and who asks. The token stays out of every repr."""

    url: str  # https://gpu1.studio:8477
    token: str = field(repr=False)
    user: str
    machine: str  # what this machine's files are called after in the user's space
    certificates: str = field(default="", repr=False)  # PEM, of who vouches for its name; empty: whom the system trusts

    REMEDY: ClassVar[str] = "see to it and to the network, or work without it after layerflow disconnect"

    def __post_init__(self) -> None:
        checks.check_types(self)
        check_address(self.url, self.token)
        parts = urlsplit(self.url)
        if parts.scheme != "https" and not _is_here(parts.hostname or ""):
            raise ValueError(
                "a token never goes to another machine in the clear; connect to https://{}".format(parts.netloc)
            )
        if len(self.certificates) > _MOST_CERTIFICATES:
            raise ValueError("the file holds more than the certificates of one server; give that of who signed it")

    def trust(self) -> ssl.SSLContext:
        """Of TLS: for who has a certificate of the server's name from whom we trust."""
        return trusting(cadata=self.certificates or None)

    def told(self, value: Any) -> Any:
        """What it tells, with paths as they are here."""
        return SpaceNames(self.machine).told(value)


def connected() -> Optional[RemoteServer]:
    """The server that this user's hosts ask; None for the one on this machine."""
    if os.environ.get(SWITCH) == "0":
        return None
    values = read_private(file()) or {}
    try:
        return RemoteServer(**{each.name: values.get(each.name, "") for each in fields(RemoteServer)})
    except ValueError:
        return None


def remember(server: RemoteServer) -> None:
    """Has this user's hosts ask `server` from now on. Raises OSError."""
    write_private(file(), asdict(server))


def forget() -> bool:
    """Has them ask the server on this machine again; whether they asked another one. Raises OSError."""
    try:
        file().unlink()
    except FileNotFoundError:
        return False
    return True


def this_machine() -> str:
    """What this user's files on this machine are called after: the same in every process."""
    host = socket.gethostname()
    owner = hashlib.sha256("{}\0{}".format(host, Path.home()).encode("utf-8", "replace")).hexdigest()
    plain = _NO_NAME.sub("-", host.split(".")[0])[:40].strip("-._") or "machine"
    return "{}-{}-{}".format("windows" if os.name == "nt" else "posix", plain, owner[:6])


def _is_here(host: str) -> bool:
    """Whether an address never leaves this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return False


def file() -> Path:
    """Where it is written down which server is asked."""
    return places.server_folder() / "remote.json"
