"""Many clients, one queue, and processes that are killed at random moments: nothing is lost, doubled or changed.

LAYERFLOW_CHAOS=full is the whole of it; without, a smaller one of the same kind.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import server_process
from server_process import Served, own_folder, start

from layerflow.server.leases import MAX_LOSSES
from layerflow.server.store import Store
from layerflow.wire import Job, Request
from layerflow.wire.client import Client
from layerflow.wire.errors import Busy, ConnectionLost, NotRunning, TimedOut
from layerflow.wire.lock import try_lock
from layerflow.wire.places import server_file

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]

home = server_process.home

FRAMES = 8
SEEDS = 4


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much of it."""

    clients: int
    jobs: int
    worker_kills: int
    server_kills: int


SIZE = (
    Size(clients=16, jobs=200, worker_kills=20, server_kills=2)
    if os.environ.get("LAYERFLOW_CHAOS") == "full"
    else Size(clients=6, jobs=12, worker_kills=1, server_kills=1)
)


@dataclass(kw_only=True)
class Killer:
    """Kills workers at random moments of their work, and now and then the server with them."""

    served: Served
    size: Size
    rng: random.Random = field(default_factory=lambda: random.Random(3))
    hits: Counter[str] = field(default_factory=Counter)  # of each job, so that none loses as many workers as it may
    workers_killed: int = 0
    servers_killed: int = 0

    @property
    def is_done(self) -> bool:
        return self.workers_killed == self.size.worker_kills and self.servers_killed == self.size.server_kills

    def run(self, over: threading.Event) -> None:
        due = self._due()
        while not self.is_done and not over.wait(self.rng.uniform(0.05, 1.5)):
            running = self._running()
            if not running or self.hits[running] >= MAX_LOSSES - 1:
                continue
            if self.servers_killed < self.size.server_kills and self.workers_killed >= due[self.servers_killed]:
                self._kill_server()
            elif self.workers_killed < self.size.worker_kills and self._kill_worker():
                self.hits[running] += 1

    def _due(self) -> list[int]:
        """After how many workers each server is killed."""
        share = self.size.worker_kills // (self.size.server_kills + 1)
        return [share * (number + 1) for number in range(self.size.server_kills)]

    def _running(self) -> str:
        jobs = self.served.client.list(state="running")
        return jobs[0].id if jobs else ""

    def _kill_worker(self) -> bool:
        for worker in self.served.workers():
            with contextlib.suppress(psutil.NoSuchProcess):
                if "layerflow.server.worker" in worker.cmdline():
                    worker.kill()
                    self.workers_killed += 1
                    return True
        return False

    def _kill_server(self) -> None:
        self.served.kill()
        self.servers_killed += 1
        self.served = start()


def request(home: Path, number: int) -> Request:
    """A small shot of the bundled model, to a folder of its own."""
    return Request(
        "generate",
        foreground="a red dog",
        background="the garden",
        num_frames=FRAMES,
        steps=6,
        seed=number % SEEDS,
        output=str(home / "out" / f"{number:03d}" / "dog.%04d.exr"),
    )


def client_at_work(home: Path, numbers: range) -> list[Job]:
    """The jobs of one client, which submits one after another and waits for them all, as a host does."""
    ids = [submitted(home, number) for number in numbers]
    return [waited_for(job) for job in ids]


def submitted(home: Path, number: int) -> str:
    """The id of a job that is pressed for until a server has taken it."""
    key = f"chaos-{number}"
    while True:
        with contextlib.suppress(NotRunning, ConnectionLost, TimedOut, Busy):
            return Client.connect(start=False).submit(request(home, number), label=str(number), key=key).id
        time.sleep(0.2)


def waited_for(job: str) -> Job:
    while True:
        with contextlib.suppress(NotRunning, ConnectionLost, TimedOut, Busy):
            return Client.connect(start=False).wait(job, timeout_s=1200)
        time.sleep(0.2)


def digest(home: Path, number: int) -> str:
    """The hash of all frames of a job, which are all there is in its folder."""
    folder = home / "out" / f"{number:03d}"
    names = sorted(path.name for path in folder.iterdir())
    assert names == [f"dog.{frame:04d}.exr" for frame in range(1, FRAMES + 1)]
    return hashlib.sha256(b"".join((folder / name).read_bytes() for name in names)).hexdigest()


@contextlib.contextmanager
def server_that_may_die() -> Iterator[Killer]:
    killer = Killer(served=start(), size=SIZE)
    try:
        yield killer
    finally:
        killer.served.kill()


def test_nothing_is_lost_doubled_or_changed(home: Path) -> None:
    with server_that_may_die() as killer:
        first = range(1000, 1000 + SEEDS)
        undisturbed = [job for number in first for job in client_at_work(home, range(number, number + 1))]
        over = threading.Event()
        thread = threading.Thread(target=killer.run, args=(over,))
        thread.start()
        with ThreadPoolExecutor(SIZE.clients) as pool:
            shares = [range(client, SIZE.jobs, SIZE.clients) for client in range(SIZE.clients)]
            jobs = [job for share in pool.map(lambda share: client_at_work(home, share), shares) for job in share]
        over.set()
        thread.join()
        code = killer.served.end()

    assert killer.is_done and code == 0
    assert [job.state for job in (*undisturbed, *jobs)] == ["done"] * (SEEDS + SIZE.jobs)
    assert len({job.id for job in jobs}) == SIZE.jobs
    assert max(job.attempts for job in jobs) > 1

    known = [digest(home, number) for number in first]
    assert len(set(known)) == SEEDS
    assert [digest(home, number) for number in range(SIZE.jobs)] == [known[n % SEEDS] for n in range(SIZE.jobs)]
    assert_nothing_is_left(SIZE.jobs + SEEDS)


def assert_nothing_is_left(count: int) -> None:
    """Every job was done once, nobody holds anything, and no file of the work is left behind."""
    folder = own_folder()
    store = Store(folder.queue)
    assert Counter(store.counts()) == Counter(done=count)
    done = [e.job for e in store.events_after(0, limit=10**6) if e.kind == "state" and e.data["state"] == "done"]
    assert len(done) == count == len(set(done))
    with store.database.read() as connection:
        assert connection.execute("SELECT count(*) FROM job WHERE worker IS NOT NULL").fetchone()[0] == 0
        assert connection.execute("SELECT count(*) FROM worker").fetchone()[0] == 0
    store.database.close()
    left = {str(path.relative_to(folder.path)) for path in folder.path.rglob("*") if path.is_file()}
    logs = {name for name in left if name.startswith("logs/")}
    assert left - logs == {"jobs.sqlite3", "server.lock", "install.json"}
    assert not server_file().exists()
    with try_lock(folder.path / "server.lock") as alone:
        assert alone
