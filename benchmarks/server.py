"""What the server costs: `python benchmarks/server.py [ROUNDS]`.

Starts `layerflow serve` in a folder of its own and prints how long it takes to be ready, what memory it has without
work, how long after submitting a job its first event is heard, and how long 1,000 queued jobs take to list. Its workers
stand still meanwhile, so that the queue stays as it is.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from layerflow.wire import Request
from layerflow.wire.client import Client
from layerflow.wire.running import published
from layerflow.wire.transport import Question, ask

JOBS = 1000
MIB = 2**20


@contextmanager
def server(folder: Path) -> Iterator[psutil.Process]:
    """A server with room for the jobs, ready."""
    os.environ.update(LAYERFLOW_RUNTIME=str(folder / "runtime"), LAYERFLOW_SERVER=str(folder / "server"))
    command = [sys.executable, "-P", "-m", "layerflow.cli", "serve", "--json", "--port", "0", "--root", str(folder)]
    with subprocess.Popen([*command, "--max-waiting", str(2 * JOBS)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        json.loads(process.stdout.readline())
        yield psutil.Process(process.pid)
        process.kill()


def seconds_of(call: Callable[[], object], rounds: int) -> list[float]:
    """How long `call` took each time."""
    found = []
    for _ in range(rounds):
        started = time.perf_counter()
        call()
        found.append(time.perf_counter() - started)
    return found


def first_events(client: Client, request: Request, rounds: int) -> list[float]:
    """From submitting a job to the first event of it on a stream of all events that was open before."""
    heard: dict[str, float] = {}
    news = threading.Condition()

    def listen() -> None:
        for event in Client.connect(start=False).events():
            with news:
                heard.setdefault(event.job, time.perf_counter())
                news.notify_all()

    threading.Thread(target=listen, daemon=True).start()
    found = []
    for _ in range(rounds):
        time.sleep(0.1)
        started = time.perf_counter()
        job = client.submit(request).id
        with news:
            news.wait_for(lambda job=job: job in heard)
        found.append(heard[job] - started)
    return found


def say(what: str, seconds: list[float]) -> None:
    ordered = sorted(seconds)
    print(f"{what}: median {1e3 * statistics.median(ordered):.0f} ms, worst {1e3 * ordered[-1]:.0f} ms")


def main(rounds: str = "30") -> None:
    count = int(rounds)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        started = time.perf_counter()
        with server(folder) as process:
            print(f"ready after {time.perf_counter() - started:.2f} s; load {psutil.getloadavg()[0]:.1f}")
            client = Client.connect(start=False)
            client.devices()  # there as soon as the workers are started
            time.sleep(10)
            print(f"memory without work: {process.memory_info().rss / MIB:.0f} MiB, its workers apart")
            for worker in process.children():
                print(f"  a worker that has made nothing yet: {worker.memory_info().rss / MIB:.0f} MiB")
                worker.suspend()
            request = Request("generate", foreground="a dog", background="a garden", output=str(folder / "a.%04d.exr"))
            say("submit to first event, on an open stream", first_events(client, request, count))
            say(
                "submit to first event, on one opened then", seconds_of(lambda: submit_and_hear(client, request), count)
            )
            for _ in range(JOBS - len(client.list(state="queued"))):
                client.submit(request)
            server_ = published()
            assert server_ is not None
            page = Question("GET", "/v1/jobs", query={"state": "queued", "limit": str(JOBS)})
            assert len(ask(server_, page, 30).json()["jobs"]) == JOBS
            say(f"{JOBS} queued jobs in one answer", seconds_of(lambda: ask(server_, page, 30), count))
            say(f"{JOBS} jobs by the client, checked", seconds_of(lambda: client.list(state="queued"), 5))
            print(f"memory after that: {process.memory_info().rss / MIB:.0f} MiB")
            for worker in process.children():
                worker.kill()


def submit_and_hear(client: Client, request: Request) -> None:
    next(client.events(client.submit(request).id))


if __name__ == "__main__":
    main(*sys.argv[1:])
