"""The queue under anything that clients, workers and the system may do to it, against a model of a few lines."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from queueing import generate, open_store, worker

from layerflow.server.errors import JobStateError
from layerflow.server.leases import MAX_LOSSES, Lease, claim, requeue_lost
from layerflow.wire import Job, Progress
from layerflow.wire.jobs import VERBS, can_go

picks = st.integers(0, 10**6)


@dataclass
class Known:
    """What is to be true of a job."""

    state: str = "queued"
    holder: str | None = None
    losses: int = 0
    attempts: int = 0
    frames: int = 0


class Queue(RuleBasedStateMachine):
    """Every rule does one thing to the queue and to the model."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.store = open_store(self.folder / "jobs.sqlite3")
        self.jobs: dict[str, Known] = {}
        self.order: list[str] = []  # of all jobs
        self.leases: list[Lease] = []  # every one there was, so that late words are tried too
        self.workers: list[str] = []

    def teardown(self) -> None:
        self.store.database.close()
        shutil.rmtree(self.folder)

    def pick(self, number: int) -> str:
        return self.order[number % len(self.order)]

    def is_on(self, lease: Lease) -> bool:
        known = self.jobs[lease.job.id]
        return known.state == "running" and known.holder == lease.worker

    @rule()
    def submit(self) -> None:
        job = self.store.submit(generate(f"dog{len(self.jobs)}"))[0].id
        self.jobs[job] = Known()
        self.order.append(job)

    @precondition(lambda self: self.jobs)
    @rule(number=picks, verb=st.sampled_from(sorted(VERBS)))
    def ask(self, number: int, verb: str) -> None:
        job = self.pick(number)
        known = self.jobs[job]
        states, after = VERBS[verb]
        if known.state not in states:
            with pytest.raises(JobStateError):
                self.store.ask(verb, job)
            return
        self.store.ask(verb, job)
        known.state = after
        if verb != "cancel":
            known.losses = 0
        if verb == "retry":
            known.frames = 0
            self.order.remove(job)
            self.order.append(job)

    @precondition(lambda self: self.jobs)
    @rule(number=picks, before=st.none() | picks)
    def move(self, number: int, before: int | None) -> None:
        job, target = self.pick(number), None if before is None else self.pick(before)
        if any(self.jobs[each].state not in ("queued", "paused") for each in (job, target) if each):
            with pytest.raises(JobStateError):
                self.store.move(job, target)
            return
        self.store.move(job, target)
        if target != job:
            self.order.remove(job)
            self.order.insert(len(self.order) if target is None else self.order.index(target), job)

    @rule()
    def take_up(self) -> None:
        name = worker(self.store, f"w{len(self.workers)}")
        self.workers.append(name)
        free = [job for job in self.order if self.jobs[job].state == "queued" and self.jobs[job].holder is None]
        lease = claim(self.store, name)
        assert (lease and lease.job.id) == (free[0] if free else None)
        if lease is not None:
            known = self.jobs[lease.job.id]
            known.state, known.holder, known.attempts = "running", name, known.attempts + 1
            self.leases.append(lease)

    @precondition(lambda self: self.leases)
    @rule(number=picks, end=st.sampled_from(["done", "failed", "queued"]))
    def settle(self, number: int, end: str) -> None:
        lease = self.leases[number % len(self.leases)]
        on, known = self.is_on(lease), self.jobs[lease.job.id]
        {"done": lambda: lease.done({}), "failed": lambda: lease.failed("no"), "queued": lease.give_back}[end]()
        if on:
            known.state = end
        if known.holder == lease.worker:
            known.holder = None

    @precondition(lambda self: self.leases)
    @rule(number=picks, frames=st.integers(0, 8))
    def say(self, number: int, frames: int) -> None:
        lease = self.leases[number % len(self.leases)]
        known = self.jobs[lease.job.id]
        lease.frame("dog.exr", Progress(frames_done=frames, frames_total=8))
        if self.is_on(lease) and frames > known.frames:
            known.frames, known.losses = frames, 0

    @precondition(lambda self: self.workers)
    @rule(number=picks)
    def lose(self, number: int) -> None:
        name = self.workers[number % len(self.workers)]
        requeue_lost(self.store, name, "killed by signal 9")
        for known in self.jobs.values():
            if known.holder == name:
                known.holder = None
                if known.state == "running":
                    known.losses += 1
                    known.state = "queued" if known.losses < MAX_LOSSES else "failed"

    @invariant()
    def the_queue_is_as_it_should_be(self) -> None:
        jobs = [Job.from_dict(values) for values in self.store.page(limit=1000).jobs]
        assert [job.id for job in jobs] == self.order
        for job in jobs:
            known = self.jobs[job.id]
            assert (job.state, job.attempts, job.progress.frames_done) == (known.state, known.attempts, known.frames)
            assert (job.finished_at is not None) == job.is_final
        assert [lease.held() for lease in self.leases] == [self.is_on(lease) for lease in self.leases]

    @invariant()
    def every_change_was_told_in_order(self) -> None:
        events = self.store.events_after(0, limit=10**6)
        assert [event.id for event in events] == sorted({event.id for event in events})
        for job, known in self.jobs.items():
            states = [event.data["state"] for event in events if (event.job, event.kind) == (job, "state")]
            assert states[0] == "queued" and states[-1] == known.state
            assert all(before == after or can_go(before, after) for before, after in pairwise(states))


TestQueue = Queue.TestCase
TestQueue.settings = settings(max_examples=25, stateful_step_count=30)
