"""Real servers: `layerflow serve` in a process of its own, as a user or a host starts it."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from layerflow.server.folder import ServerFolder
from layerflow.wire.client import Client
from layerflow.wire.running import RunningServer, published

SERVE = (sys.executable, "-P", "-m", "layerflow.cli", "serve", "--json")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which this test's server keeps everything, its hosts' files among it."""
    monkeypatch.setenv("LAYERFLOW_RUNTIME", str(tmp_path / "runtime"))
    monkeypatch.setenv("LAYERFLOW_SERVER", str(tmp_path / "server"))
    monkeypatch.setenv("LAYERFLOW_ROOTS", str(tmp_path))
    return tmp_path


@dataclass(kw_only=True)
class Served:
    """A server's process and what it said when it was ready."""

    process: subprocess.Popen[str]
    server: RunningServer

    @property
    def client(self) -> Client:
        """A client of it, which finds the next one at another address too."""
        return Client.connect(start=False)

    def workers(self) -> list[psutil.Process]:
        """The processes it started."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children()
        return []

    def end(self) -> int:
        """Asks it to end, as the system does at shutdown; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def kill(self) -> None:
        """Ends it as a power cut does, if it is still there; its workers notice by themselves."""
        self.process.kill()
        self.process.wait(10)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


def start(*options: str, port: int = 0) -> Served:
    """A server that is ready."""
    process = subprocess.Popen(
        [*SERVE, "--port", str(port), *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stderr is not None
    said = process.stdout.readline()
    if not said:
        process.wait(10)
        raise AssertionError(process.stderr.read())
    server = published()
    assert server is not None and server.url == json.loads(said).get("url"), said
    return Served(process=process, server=server)


@contextlib.contextmanager
def ended(served: Served) -> Iterator[Served]:
    """A server that is gone with everything it started when the block ends."""
    try:
        yield served
    finally:
        workers = served.workers()
        served.kill()
        psutil.wait_procs(workers, timeout=40)


@contextlib.contextmanager
def serving(*options: str) -> Iterator[Served]:
    """A server that is ready, and gone as `ended`."""
    with ended(start(*options)) as served:
        yield served


def own_folder() -> ServerFolder:
    """What that server keeps."""
    return ServerFolder.own()
