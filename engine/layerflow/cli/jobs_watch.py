"""`layerflow jobs watch`: a table that moves in a terminal, one line per change in a log; both on stderr."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live

from layerflow.cli.jobs_report import SHORT_ID, table_of
from layerflow.cli.stop import stop_on_signal
from layerflow.wire.jobs import Job

if TYPE_CHECKING:
    from layerflow.wire.client import Client


def watch_jobs(client: Client, job: str | None = None, console: Console | None = None) -> list[Job]:
    """The job with this id, or all that were not over, once they are; `console` (default: stderr) shows the way."""
    looks = _looks_at_one(client, job) if job else _looks_at_all(client)
    jobs: Sequence[Job] = []
    with stop_on_signal() as stop, _shown(console or Console(stderr=True)) as show:
        stop.keep_work()  # so that Ctrl-C leaves the terminal in order
        for jobs in looks:
            show(jobs)
    return list(jobs)


def _looks_at_one(client: Client, job: str) -> Iterator[Sequence[Job]]:
    """The job after each of its events, from the first on."""
    now = client.get(job)
    if not now.is_final:
        with contextlib.closing(client.events(job)) as events:
            for event in events:
                now = now.after(event)
                yield [now]
    yield [client.get(job)]


def _looks_at_all(client: Client) -> Iterator[Sequence[Job]]:
    """The jobs that are not over, after each of their events until they are. Nobody waits for those that come later."""
    look = client.look()
    jobs = {job.id: job for job in look.jobs if not job.is_final}
    yield [*jobs.values()]
    with contextlib.closing(client.events(after=look.event)) as events:
        while not all(job.is_final for job in jobs.values()):
            event = next(events)
            if event.job in jobs:
                jobs[event.job] = jobs[event.job].after(event)
                yield [*jobs.values()]


@contextlib.contextmanager
def _shown(console: Console) -> Iterator[Callable[[Sequence[Job]], None]]:
    """A function that shows how jobs are now."""
    if not console.is_terminal:
        yield _Log(console).show
        return
    with Live(console=console, transient=True) as live:
        yield lambda jobs: live.update(table_of(jobs))


class _Log:
    """One line for each state that a job comes to, and for each of its warnings."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: dict[str, Job] = {}

    def show(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            before = self._said.get(job.id)
            if before is None or before.state != job.state:
                self._say(job, f"{job.state}: {job.message}" if job.message else job.state)
            for warning in job.warnings[len(before.warnings) if before else 0 :]:
                self._say(job, f"warning: {warning}")
            self._said[job.id] = job

    def _say(self, job: Job, text: str) -> None:
        name = f"{job.id[:SHORT_ID]} {job.label}".strip()
        self._console.print(f"{name}: {text}", markup=False, highlight=False, soft_wrap=True)
