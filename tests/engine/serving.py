"""The whole application over a real socket, with a queue and no workers but those of the test."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import guarded
from guarded import TOKEN
from queueing import generate, worker

from layerflow.server.app import create_app
from layerflow.server.leases import claim
from layerflow.server.service import Service
from layerflow.server.survey import Survey
from layerflow.wire import Progress, Request
from layerflow.wire.client import Client
from layerflow.wire.running import API, RunningServer

SURVEY = Survey(
    devices=({"name": "cpu", "product": "2 cores", "memory_bytes": 8 << 30},),
    models=({"name": "mini", "tasks": ["generate"], "width": 128, "height": 96, "fps": 24.0},),
)


def make_service(folder: Path, *, survey: Survey | None = SURVEY, **settings: Any) -> Service:
    """What a server answers from whose jobs may write in `folder`."""
    service = guarded.make_service(folder, **{"roots": (folder.resolve(),), **settings})
    if survey is not None:
        service.found.set_result(survey)
    return service


@contextlib.contextmanager
def serving(service: Service) -> Iterator[Client]:
    """A client of the server that answers for `service` until the block ends; then it leaves as on SIGTERM."""
    with guarded.serving(create_app(service), service):
        try:
            yield Client(address_of(service))
        finally:
            service.leaving.set()


def address_of(service: Service) -> RunningServer:
    """What the runtime file would say."""
    return RunningServer(f"http://127.0.0.1:{service.port}", TOKEN, os.getpid(), API, "0.1.0")


def shot(service: Service, name: str = "dog", /, **changes: Any) -> Request:
    """A small shot that the service takes."""
    return generate(str(service.settings.roots[0] / name), **changes)


def work(service: Service, steps: int = 3) -> threading.Thread:
    """Takes up the next job and makes it, in the background, as a worker would."""

    def make() -> None:
        worker(service.store, "w")
        lease = claim(service.store, "w")
        assert lease is not None
        for done in range(1, steps + 1):
            lease.progress(Progress("Sampling", done, steps))
        lease.frame("dog.0001.exr", Progress("Writing", 1, 1, 1, 1))
        lease.warning("the prompt was cut")
        lease.done({"frames": ["dog.0001.exr"]})

    thread = threading.Thread(target=make)
    thread.start()
    return thread
