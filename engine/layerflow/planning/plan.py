"""What a shot, or a thousand like it, takes on a fleet: every part of the planner, put together."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from layerflow.errors import RequestError
from layerflow.planning.assumptions import assumptions
from layerflow.planning.fleet import Group
from layerflow.planning.lengths import Lengths
from layerflow.planning.queueing import Job, Machine, Outcome, arrivals, simulate
from layerflow.planning.timing import Stages, stages_of
from layerflow.planning.work import Memory, Work, memory_of, work_of
from layerflow.shot import Shot

MAX_SHOTS = 100_000
HOUR = 3600.0


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of a plan, besides the shot."""

    fleet: tuple[Group, ...]
    shots: int = 1
    lengths: Lengths | None = None  # None: all as long as the shot
    over_h: float = 0.0  # hours in which they come in
    failures_per_hour: float = 0.0  # of one GPU
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.shots <= MAX_SHOTS:
            raise RequestError(f"{self.shots} shots cannot be planned; give 1 to {MAX_SHOTS}")
        if not 0 <= self.over_h <= 24 * 365:
            raise RequestError(
                f"shots cannot come in over {self.over_h:g} hours; give 0, which is all at once, to 8760"
            )
        if not 0 <= self.failures_per_hour <= HOUR:
            raise RequestError(f"{self.failures_per_hour:g} failures an hour cannot be planned; give 0 to 3600")

    @property
    def is_simulated(self) -> bool:
        """Whether there is a queue to look at."""
        return self.shots > 1 or self.failures_per_hour > 0


@dataclass(frozen=True, kw_only=True)
class OnDevice:
    """One shot on one kind of device."""

    group: Group
    stages: tuple[Stages, ...]  # of each of its parts
    memory: tuple[Memory, ...]

    @property
    def alone_s(self) -> float:
        """From the start of a process to the last frame."""
        return self.first_s + self.made_s

    @property
    def first_s(self) -> float:
        """Before the first window: the process once, and the models."""
        return self.stages[0].starting + sum(each.loading for each in self.stages)

    @property
    def made_s(self) -> float:
        """The shot, with what it needs loaded."""
        return sum(each.made for each in self.stages)

    @property
    def cost(self) -> float | None:
        """Of the shot by itself."""
        price = self.group.price
        return None if price is None else self.alone_s / HOUR * price.per_hour

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        price = self.group.price
        return {
            "count": self.group.count,
            "rate": self.group.rate.to_dict(),
            "price": None if price is None else asdict(price),
            "stages": [each.to_dict() for each in self.stages],
            "memory": [asdict(each) for each in self.memory],
            "alone_s": self.alone_s,
            "made_s": self.made_s,
            "cost": self.cost,
        }


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The answer."""

    question: Question
    works: tuple[Work, ...]
    devices: tuple[OnDevice, ...]
    outcome: Outcome | None  # None: one shot, of which there is nothing to play through
    frames: int  # of all shots
    disk_bytes: int
    assumptions: tuple[str, ...]

    @property
    def hours(self) -> float:
        """Until the last frame is there."""
        if self.outcome is None:
            return min(each.alone_s for each in self.devices) / HOUR
        return self.outcome.makespan_s / HOUR

    @property
    def gpu_hours(self) -> dict[str, float]:
        """That are paid for, by kind: of one shot its own GPU's, of many every GPU's until the last frame."""
        if self.outcome is None:
            best = min(self.devices, key=lambda each: each.alone_s)
            return {best.group.rate.name: self.hours}
        return {each.group.rate.name: each.group.count * self.hours for each in self.devices}

    @property
    def cost(self) -> float | None:
        """Of those hours; None where a price is missing."""
        return self._cost_of(self.gpu_hours)

    @property
    def cost_at_work(self) -> float | None:
        """If GPUs are paid for only while they are at work."""
        if self.outcome is None:
            return self.cost
        return self._cost_of({kind: seconds / HOUR for kind, seconds in self.outcome.busy_by_kind_s.items()})

    @property
    def has_example_prices(self) -> bool:
        """Whether one of the prices is nobody's."""
        return any(each.group.price is not None and each.group.price.kind == "example" for each in self.devices)

    def _cost_of(self, hours: Mapping[str, float]) -> float | None:
        prices = {each.group.rate.name: each.group.price for each in self.devices}
        found = [prices[kind] for kind in hours]
        if any(each is None for each in found):
            return None
        return sum(number * each.per_hour for number, each in zip(hours.values(), found, strict=True) if each)

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        question = self.question
        return {
            "shot": [each.to_dict() for each in self.works],
            "devices": [each.to_dict() for each in self.devices],
            "shots": question.shots,
            "lengths": str(question.lengths) if question.lengths else None,
            "over_h": question.over_h,
            "failures_per_hour": question.failures_per_hour,
            "seed": question.seed,
            "frames": self.frames,
            "hours": self.hours,
            "gpu_hours": self.gpu_hours,
            "cost": self.cost,
            "cost_at_work": self.cost_at_work,
            "example_prices": self.has_example_prices,
            "disk_bytes": self.disk_bytes,
            "simulation": self.outcome.to_dict() if self.outcome else None,
            "assumptions": list(self.assumptions),
        }


def plan(shots: Sequence[Shot], question: Question) -> Plan:
    """The answer for the parts `shots` of one request. Raises RequestError."""
    works = tuple(work_of(each) for each in shots)
    devices = tuple(_on_device(shots, works, group) for group in question.fleet)
    frames = _frames(works[0], question)
    outcome = _played(works, devices, frames, question) if question.is_simulated else None
    return Plan(
        question=question,
        works=works,
        devices=devices,
        outcome=outcome,
        frames=sum(frames),
        disk_bytes=sum(work.disk_bytes // work.frames for work in works) * sum(frames),
        assumptions=assumptions(works, devices, question, outcome is not None),
    )


def _on_device(shots: Sequence[Shot], works: Sequence[Work], group: Group) -> OnDevice:
    memory = tuple(memory_of(shot.folder, shot.request, group.rate) for shot in shots)
    return OnDevice(group=group, stages=_stages(works, group, memory), memory=memory)


def _stages(works: Sequence[Work], group: Group, memory: Sequence[Memory]) -> tuple[Stages, ...]:
    return tuple(
        stages_of(work, group.rate, decodes_aside=each.decodes_aside) for work, each in zip(works, memory, strict=True)
    )


def _frames(work: Work, question: Question) -> list[int]:
    """The frames of every shot."""
    if question.lengths is None:
        return [work.frames] * question.shots
    generator = random.Random(f"{question.seed}/lengths")
    return [question.lengths.draw(generator) for _ in range(question.shots)]


def _played(works: Sequence[Work], devices: Sequence[OnDevice], frames: Sequence[int], question: Question) -> Outcome:
    @cache
    def windows_s(length: int) -> dict[str, tuple[float, ...]]:
        own = [work.of_length(length) for work in works]
        return {each.group.rate.name: _windows(own, each) for each in devices}

    moments = arrivals(question.shots, question.over_h * HOUR, question.seed)
    jobs = [Job(arrives_s=at, windows_s=windows_s(each)) for at, each in zip(moments, frames, strict=True)]
    machines = [
        Machine(kind=each.group.rate.name, first_s=each.first_s, speed=1 / max(each.made_s, 1e-9))
        for each in devices
        for _ in range(each.group.count)
    ]
    return simulate(jobs, machines, failures_per_hour=question.failures_per_hour, seed=question.seed)


def _windows(works: Sequence[Work], device: OnDevice) -> tuple[float, ...]:
    """Seconds of every window, all of a part alike."""
    stages = _stages(works, device.group, device.memory)
    return tuple(
        seconds
        for work, each in zip(works, stages, strict=True)
        for seconds in (each.made / work.windows,) * work.windows
    )
