"""The interface's thread without an interface, and engines for it: what the tests of the controllers share."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from layerflow.wire import starting
from layerflow.wire.running import published
from layerflow_desktop.controllers.background import Background
from layerflow_desktop.controllers.engine import Engine
from layerflow_desktop.controllers.queue import Queue


class Pump:
    """A `Post`: what is posted happens in the thread that waits for something."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def __call__(self, call: Callable[[], None]) -> None:
        self._calls.put(call)

    def until(self, is_so: Callable[[], object], timeout_s: float = 90.0) -> None:
        """Makes the calls that come until something is so."""
        deadline = time.monotonic() + timeout_s
        while not is_so():
            left = deadline - time.monotonic()
            assert left > 0, "that never came about"
            with contextlib.suppress(queue.Empty):
                self._calls.get(timeout=min(left, 0.05))()


@dataclass
class Desk:
    """An engine and its queue, as the app has them, without a window."""

    folder: Path
    pump: Pump
    background: Background
    engine: Engine
    queue: Queue
    said: list[str] = field(default_factory=list)

    def output(self, name: str) -> str:
        return str(self.folder / f"{name}.%04d.exr")


@contextlib.contextmanager
def desk(folder: Path) -> Iterator[Desk]:
    """A desk that listens to the server that runs; closed when the block ends."""
    pump, said = Pump(), []
    background = Background(pump)
    engine = Engine(background, pump, check_s=0.2, first_pause_s=0.2)
    jobs = Queue(engine, background, said.append)
    engine.open()
    jobs.open()
    try:
        yield Desk(folder, pump, background, engine, jobs, said)
    finally:
        jobs.close()
        engine.close()
        background.close()


def kill_server() -> list[psutil.Process]:
    """Ends the server that runs as a power cut does; its workers, which notice by themselves."""
    server = published()
    assert server is not None
    process = psutil.Process(server.pid)
    workers = process.children()
    os.kill(server.pid, signal.SIGKILL)
    with contextlib.suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
        process.wait(10)
    return workers


def end_server() -> None:
    """Ends the server that runs, if any, and everything that it started."""
    if published() is not None:
        psutil.wait_procs(kill_server(), timeout=40)
    for process in starting._started:
        process.wait(40)
    starting._started.clear()


@contextlib.contextmanager
def home_of(folder: Path, *also: Path) -> Iterator[None]:
    """A server that is started keeps everything in `folder`, and may read and write there and in `also`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAYERFLOW_RUNTIME", str(folder / "runtime"))
        patch.setenv("LAYERFLOW_SERVER", str(folder / "server"))
        patch.setenv("LAYERFLOW_ROOTS", os.pathsep.join(map(str, (folder, *also))))
        patch.delenv("LAYERFLOW_COMMAND", raising=False)
        try:
            yield
        finally:
            end_server()
