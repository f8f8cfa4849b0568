"""Making a server elsewhere the one that this user's hosts ask."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict, Tuple

from layerflow.wire import remote, space, starting
from layerflow.wire.digests import readable
from layerflow.wire.remote import RemoteServer


def connect(url: str, token: str, certificates: str = "") -> Tuple[RemoteServer, Dict[str, Any]]:
    """The server, once it has let us in and is remembered, and what it says of the user's space.

    `certificates` are those of who vouches for its name, PEM; without any, whom the system trusts. Raises ServerError,
    and ValueError for an address or a token that cannot be.
    """
    server = RemoteServer(
        url if "://" in url else "https://" + url, token, "nobody yet", remote.this_machine(), certificates
    )
    starting.check_version(server)
    found = space.look(server)
    server = replace(server, user=found["user"])
    with readable(str(remote.file())):
        remote.remember(server)
    return server, found


def disconnect() -> bool:
    """Makes the server on this machine the one that is asked; whether it was another one. Raises LocalFile."""
    with readable(str(remote.file())):
        return remote.forget()
