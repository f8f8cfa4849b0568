"""What finishing one window while the next is sampled is worth: `python benchmarks/overlap.py PLATE [STEPS [ROUNDS]]`.

Decomposes PLATE with `mini`, in turns on two threads and on one. Prints of the quickest round each: the seconds of the
shot, and how long sampling stood still between two windows, by the clock and of the sampling thread's own CPU time.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

from layerflow import overlap, shots
from layerflow.shot import Shot
from layerflow.wire import Request
from layerflow.worker import Worker


class InTurn(Worker):
    """Does every job at once, on the caller's own thread."""

    def submit(self, job: Callable[[], Any], done: Callable[[Any], None]) -> None:
        done(job())

    def job_holding(self, lock: Any) -> Any:
        return nullcontext()  # the caller has it


def measure(plate: str, steps: int, worker: type[Worker]) -> list[float]:
    """Seconds of the shot; seconds and CPU seconds between two windows, all of them together."""
    marks: list[tuple[float, float]] = []
    sample = Shot.sample

    def marked(*args: Any, **options: Any) -> Any:
        marks.append((time.monotonic(), time.thread_time()))
        sampled = sample(*args, **options)
        marks.append((time.monotonic(), time.thread_time()))
        return sampled

    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(overlap, "Worker", worker),
        patch.object(Shot, "sample", marked),
    ):
        output = str(Path(folder) / "shot.%04d.exr")
        request = Request("decompose", plate=plate, output=output, memory="full", steps=steps)
        seconds = shots.render(request).seconds
    between = list(zip(marks[1:-1:2], marks[2::2], strict=True))
    return [seconds, *(sum(after[clock] - before[clock] for before, after in between) for clock in (0, 1))]


def main(plate: str, steps: str = "2", rounds: str = "3") -> None:
    kinds = {"two threads": Worker, "one thread": InTurn}
    found: dict[str, list[list[float]]] = {name: [] for name in kinds}
    for _ in range(int(rounds)):
        for name, worker in kinds.items():
            found[name].append(measure(plate, int(steps), worker))
    for name, measured in found.items():
        seconds, still, busy = min(measured)
        print(f"{name}: {seconds:.1f} s, of which sampling stood still for {still:.1f} s ({busy:.1f} s of CPU)")


if __name__ == "__main__":
    main(*sys.argv[1:])
