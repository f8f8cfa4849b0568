"""The user's space on a server elsewhere: how much of it is taken, and room made in it."""

from __future__ import annotations

import os
from typing import Any, Dict

from layerflow.wire import errors
from layerflow.wire.remote import RemoteServer
from layerflow.wire.space_names import SPACE, SpaceNames, files_path
from layerflow.wire.transport import Question, ask

NONE_HERE = "shots are made on this machine, without a space for files; layerflow connect names a server elsewhere"

_NUMBERS = ("used_bytes", "limit_bytes", "files", "jobs_waiting", "jobs_limit")
_TIMEOUT_S = 60.0  # of a server that counts what a space holds, or removes a folder of many files


def look(server: RemoteServer) -> Dict[str, Any]:
    """What the server says of the space, with its own `url` and the `machine` that files are called after.

    Raises ServerError.
    """
    answer = ask(server, Question("GET", "/v1/space"), _TIMEOUT_S)
    space = answer.json()
    if not (isinstance(space.get("user"), str) and all(isinstance(space.get(name), int) for name in _NUMBERS)):
        raise errors.BadAnswer(
            "the LayerFlow server at {} tells of no user; install the same LayerFlow on both sides".format(server.url)
        )
    return {"url": server.url, "machine": server.machine, **space}


def delete(server: RemoteServer, path: str) -> None:
    """Removes from the space what it has of a path of this machine or a name behind `space:`, with all below it.

    Nothing here is touched. Raises NotFound where the space has nothing of it, another ServerError, and
    ValueError for a path that has no name there.
    """
    name = path[len(SPACE) :] if path.startswith(SPACE) else SpaceNames(server.machine).name(os.path.abspath(path))
    try:
        ask(server, Question("DELETE", files_path(name)), _TIMEOUT_S)
    except errors.NotFound as error:
        said = "the space of {} has nothing of {}; look at the paths of its jobs, as layerflow jobs list shows them"
        raise errors.NotFound(said.format(server.user, path), error.kind, error.status) from error
