"""A server elsewhere, as a user's hosts have it: the whole application behind a link, with no worker."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import guarded
import pytest
from links import HOST, Link, link_to
from queueing import worker
from serving import make_service
from spacious import UserCaller, add_user

from layerflow.server.app import create_app
from layerflow.server.leases import claim
from layerflow.server.service import Service
from layerflow.wire import Job, Progress, Request
from layerflow.wire.client import Client
from layerflow.wire.remote import RemoteServer, this_machine

KIB, MIB = 1 << 10, 1 << 20


@dataclass(kw_only=True)
class Elsewhere:
    """The server, a user of it, and the way there."""

    service: Service
    user: UserCaller
    link: Link

    @property
    def server(self) -> RemoteServer:
        """What `layerflow connect` would write down."""
        return RemoteServer(f"http://{HOST}:{self.service.port}", self.user.token, self.user.name, this_machine())

    @property
    def client(self) -> Client:
        """A client as a host makes one."""
        return Client(self.server)

    def file(self, path: Path) -> Path:
        """Where a file of this machine lies there."""
        return self.user.space.folder / self.server.machine / path.relative_to("/")

    def make(self, job: Job, files: dict[Path, bytes]) -> None:
        """Does the job as a worker does: those files of this machine are in the space, and it is done."""
        worker(self.service.store, "w")
        lease = claim(self.service.store, "w")
        assert lease is not None and lease.job.id == job.id
        for path, content in files.items():
            self.file(path).parent.mkdir(parents=True, exist_ok=True)
            self.file(path).write_bytes(content)
        lease.frame(str(self.file(next(iter(files)))), Progress("Writing", 1, 1, 1, 1))
        lease.done({"frames": [str(self.file(path)) for path in files], "seconds": 2.0})


@contextlib.contextmanager
def served_elsewhere(
    folder: Path, *, space_bytes: int = 1 << 34, limits: Any = None, **link: Any
) -> Iterator[Elsewhere]:
    """A server that keeps what it has below `folder`, until the block ends."""
    settings = {} if limits is None else {"limits": limits}
    service = make_service(folder / "elsewhere", names=(HOST,), roots=(), **settings)
    user = add_user(service, "ann", space_bytes=space_bytes)
    with guarded.serving(create_app(service), service), link_to(service.port, **link) as way:
        try:
            yield Elsewhere(service=service, user=user, link=way)
        finally:
            service.leaving.set()


@pytest.fixture
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's hosts keep what they know."""
    monkeypatch.setenv("LAYERFLOW_RUNTIME", str(tmp_path / "runtime"))
    monkeypatch.setenv("LAYERFLOW_SERVER", str(tmp_path / "hosts"))
    return tmp_path


def write_plate(folder: Path, *sizes: int) -> Request:
    """A request for a plate of so many files of noise."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, size in enumerate(sizes, start=1001):
        (folder / f"plate.{number}.exr").write_bytes(random.Random(f"{folder} {number}").randbytes(size))
    return Request("decompose", plate=str(folder / "plate.####.exr"), output=str(folder / "out" / "dog.%04d.exr"))
