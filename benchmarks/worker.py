"""What a worker process holds in memory, job after job, and what each takes: shots of the bundled model, one worker.

    python benchmarks/worker.py 200

prints a line for every twentieth job: resident memory in MB, and the mean seconds a job of the last twenty took.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import mean

import psutil

from layerflow.server.folder import ServerFolder
from layerflow.server.store import Store
from layerflow.server.supervisor import Supervisor
from layerflow.wire import Request

EVERY = 20
STEPS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("jobs", type=int)
    num_jobs = parser.parse_args().jobs
    with tempfile.TemporaryDirectory() as place:
        folder = ServerFolder(path=Path(place) / "server")
        folder.make()
        store = Store(folder.queue)
        supervisor = Supervisor(folder, store, ["cpu"])
        supervisor.start()
        print(f"{'job':>5} {'MB':>6} {'s a job':>8}")
        seconds: list[float] = []
        for number in range(1, num_jobs + 1):
            job = store.submit(shot(Path(place), number))[0].id
            while not (after := store.get(job)).is_final:
                time.sleep(0.01)
            seconds.append((after.finished_at or 0.0) - (after.started_at or 0.0))
            if number == 1 or number % EVERY == 0:
                print(f"{number:5} {memory_of(supervisor) / 1e6:6.0f} {mean(seconds[-EVERY:]):8.2f}", flush=True)
        supervisor.drain()


def shot(place: Path, number: int) -> Request:
    """A shot like no other before it, so that nothing of it is known."""
    return Request(
        "generate",
        output=str(place / f"out-{number}" / "dog.%04d.exr"),
        foreground=f"a dog number {number}",
        background="the garden",
        num_frames=8,
        steps=STEPS,
        seed=number,
    )


def memory_of(supervisor: Supervisor) -> int:
    """Resident bytes of the one worker."""
    process = supervisor.posts[0].process
    assert process is not None
    return int(psutil.Process(process.pid).memory_info().rss)


if __name__ == "__main__":
    main()
