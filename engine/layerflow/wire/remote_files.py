"""The files of jobs that are made on another machine: there before a job is asked for, and back when it is done."""

from __future__ import annotations

import contextlib
from typing import Callable, Iterator, List

from layerflow.wire import errors
from layerflow.wire.digests import Digests
from layerflow.wire.downloading import Downloading
from layerflow.wire.inputs import frames_in_the_way
from layerflow.wire.jobs import Job
from layerflow.wire.line import Line
from layerflow.wire.remote import RemoteServer
from layerflow.wire.request import Request
from layerflow.wire.space_names import SpaceNames
from layerflow.wire.transfer import OnTransfer
from layerflow.wire.transport import Question
from layerflow.wire.uploading import Uploading


def upload(server: RemoteServer, request: Request, on_transfer: OnTransfer, stopped: Callable[[], bool]) -> None:
    """Has all that a request with whole paths needs on the server. Raises ServerError, Stopped among them."""
    names = SpaceNames(server.machine)
    with _line(server, stopped) as line:
        space = line.persist(Question("GET", "/v1/space")).json()
        if isinstance(space.get("chunk_bytes"), int):
            line.take_at_most(space["chunk_bytes"])
        Uploading(line, names, Digests()).send(request, on_transfer)


def download(server: RemoteServer, job: Job, on_transfer: OnTransfer, stopped: Callable[[], bool]) -> List[str]:
    """Has all that a job has made where its request says; the paths. Raises ServerError, Stopped among them."""
    with _line(server, stopped) as line:
        return Downloading(line, SpaceNames(server.machine), Digests()).bring(job, on_transfer)


def check_output_free(request: Request) -> None:
    """Raises LocalFile where a frame of another shot is in the way of one that the request would make."""
    in_the_way = frames_in_the_way(request)
    if in_the_way:
        raise errors.LocalFile("{} is already there; choose another output, or have it replaced".format(in_the_way[0]))


@contextlib.contextmanager
def _line(server: RemoteServer, stopped: Callable[[], bool]) -> Iterator[Line]:
    with contextlib.closing(Line(server, stopped)) as line:
        yield line
