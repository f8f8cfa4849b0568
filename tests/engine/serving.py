"""A server over a real socket, with a queue and no worker but those of the test."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from layerflow.server.app import create_app
from layerflow.server.folder import ServerFolder
from layerflow.server.service import Service
from layerflow.server.settings import Settings
from layerflow.server.store import Store
from layerflow.server.survey import Survey
from layerflow.wire.client import Client
from layerflow.wire.running import API, RunningServer

TOKEN = "s3cret"
SURVEY = Survey(
    devices=({"name": "cpu", "product": "2 cores", "memory_bytes": 8 << 30},),
    models=({"name": "mini", "tasks": ["generate"], "width": 128, "height": 96, "fps": 24.0},),
)


@dataclass(frozen=True, kw_only=True)
class Serving:
    """A server that answers, and what it answers from."""

    service: Service
    server: uvicorn.Server

    @property
    def address(self) -> RunningServer:
        """What the runtime file would say."""
        return RunningServer(f"http://127.0.0.1:{self.service.port}", TOKEN, os.getpid(), API, "0.1.0")

    @property
    def client(self) -> Client:
        """A client that does not look for another server."""
        return Client(self.address)


def make_service(folder: Path, *, survey: Survey | None = SURVEY, **settings: Any) -> Service:
    """What a server in `folder` answers from."""
    own = ServerFolder(path=folder)
    own.make()
    service = Service(folder=own, store=Store(own.queue), settings=Settings(**settings), token=TOKEN)
    if survey is not None:
        service.found.set_result(survey)
    return service


@contextlib.contextmanager
def serving(service: Service) -> Iterator[Serving]:
    """A server that answers for `service` until the block ends; then it leaves as it would on SIGTERM."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        service.port = listener.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(create_app(service), http="h11", ws="none", log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            while not server.started:
                time.sleep(0.005)
            yield Serving(service=service, server=server)
        finally:
            service.leaving.set()
            server.should_exit = True
            thread.join(30)
