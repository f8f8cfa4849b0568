"""Many shots and many GPUs, played through by SimPy: who waits, for how long, and what stands idle.

One row of shots, first come, first served. A shot is made on one GPU, window after window, by the fastest that is free.
Every GPU loads the model once, at the beginning. One that fails starts anew, loads, and makes the window at hand again.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from layerflow.errors import RequestError

if TYPE_CHECKING:
    from simpy.events import Event

HOPELESS = 5.0  # failures in one window, on average; it would be tried 150 times


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One GPU."""

    kind: str
    first_s: float = 0.0  # before it can begin: process and model
    speed: float = 1.0  # against the others; the fastest that is free is taken


@dataclass(frozen=True, kw_only=True)
class Job:
    """One shot."""

    arrives_s: float
    windows_s: Mapping[str, Sequence[float]]  # seconds of each window, by kind of machine


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How it went."""

    makespan_s: float  # from the first shot's arrival, or the GPUs' start, to the last frame
    waiting_s: float  # mean, from arrival to the first window
    waiting_p95_s: float
    turnaround_s: float  # mean, from arrival to the last frame
    turnaround_p95_s: float
    utilisation: float  # share of the GPUs' time that they were at work, loading and lost windows included
    failures: int
    busy_s: float  # of all GPUs together
    busy_by_kind_s: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def simulate(
    jobs: Sequence[Job], machines: Sequence[Machine], *, failures_per_hour: float = 0.0, seed: int = 0
) -> Outcome:
    """What becomes of `jobs` on `machines`; the same for the same arguments.

    Raises RequestError without SimPy, and where windows are so long that GPUs fail in all of them.
    """
    simpy = _simpy()
    longest = max(max(seconds) for job in jobs for seconds in job.windows_s.values())
    if failures_per_hour * longest / 3600 > HOPELESS:
        raise RequestError(
            f"with {failures_per_hour:g} failures an hour a window of {longest / 3600:.1f} hours would hardly ever "
            "come to its end; give fewer, or a faster GPU"
        )
    hall = _Hall(simpy=simpy, environment=simpy.Environment(), failures_per_hour=failures_per_hour)
    hall.open(machines)
    for index, job in enumerate(jobs):
        hall.environment.process(hall.shot(job, random.Random(f"{seed}/{index}")))
    hall.environment.run()
    return hall.outcome(len(machines))


def _simpy() -> Any:
    try:
        import simpy
    except ImportError as error:
        raise RequestError("many shots are played through by SimPy; pip install 'layerflow[cluster]'") from error
    return simpy


@dataclass(kw_only=True)
class _Hall:
    """The machines, and what was seen of the shots."""

    simpy: Any
    environment: Any
    failures_per_hour: float
    idle: Any = None  # a PriorityStore of machines, the fastest first
    waited: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    busy: dict[str, float] = field(default_factory=dict)
    failures: int = 0
    ended: float = 0.0  # the last shot so far

    def open(self, machines: Sequence[Machine]) -> None:
        self.idle = self.simpy.PriorityStore(self.environment)
        for number, machine in enumerate(machines):
            self.environment.process(self.starting(number, machine))

    def starting(self, number: int, machine: Machine) -> Generator[Event, Any, None]:
        yield self._at_work(machine, machine.first_s)
        yield self.idle.put(self.simpy.PriorityItem((-machine.speed, number), machine))

    def shot(self, job: Job, luck: random.Random) -> Generator[Event, Any, None]:
        yield self.environment.timeout(job.arrives_s)
        item: Any = yield self.idle.get()
        machine: Machine = item.item
        self.waited.append(self.environment.now - job.arrives_s)
        for seconds in job.windows_s[machine.kind]:
            while (fails := self._fails_after(luck)) < seconds:
                self.failures += 1
                yield self._at_work(machine, fails + machine.first_s)
            yield self._at_work(machine, seconds)
        self.ended = self.environment.now
        self.took.append(self.ended - job.arrives_s)
        yield self.idle.put(item)

    def _at_work(self, machine: Machine, seconds: float) -> Event:
        self.busy[machine.kind] = self.busy.get(machine.kind, 0.0) + seconds
        pause: Event = self.environment.timeout(seconds)
        return pause

    def _fails_after(self, luck: random.Random) -> float:
        return luck.expovariate(self.failures_per_hour / 3600) if self.failures_per_hour else float("inf")

    def outcome(self, num_machines: int) -> Outcome:
        whole = self.ended
        busy = sum(self.busy.values())
        return Outcome(
            makespan_s=whole,
            waiting_s=float(np.mean(self.waited)),
            waiting_p95_s=float(np.percentile(self.waited, 95)),
            turnaround_s=float(np.mean(self.took)),
            turnaround_p95_s=float(np.percentile(self.took, 95)),
            utilisation=min(1.0, busy / (whole * num_machines)) if whole else 0.0,
            failures=self.failures,
            busy_s=busy,
            busy_by_kind_s=dict(self.busy),
        )


def arrivals(count: int, over_s: float, seed: int) -> list[float]:
    """When `count` shots come in: all at once, or at random moments of `over_s` seconds."""
    generator = random.Random(f"{seed}/arrivals")
    return sorted(generator.uniform(0.0, over_s) for _ in range(count)) if over_s else [0.0] * count
