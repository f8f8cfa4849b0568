"""One line of the queue: a job of any host, as an artist reads it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath

from layerflow.wire import Job
from layerflow.wire.jobs import VERBS
from layerflow.wire.labels import host_and_name
from layerflow.wire.status import Status, of_job

OWN_LABEL = "studio"  # what the labels of this app's jobs begin with

_TASKS = {
    "generate": "Layers from words",
    "decompose": "Taking apart",
    "background": "Background",
    "foreground": "Foreground",
    "edit": "Layer anew",
}
_FRAME_FIELD = re.compile(r"[._-]*(#+|%0?[0-9]*d)\.exr$", re.IGNORECASE)


@dataclass(frozen=True)
class Row:
    """A job, its place, and how it stands."""

    job: Job
    status: Status
    left_s: float | None = None  # of the stage at hand

    @property
    def id(self) -> str:
        """The id of its job."""
        return self.job.id

    @property
    def state(self) -> str:
        """The state of its job."""
        return self.job.state

    @property
    def output(self) -> str:
        """The pattern of its frames."""
        return self.job.request.output

    @property
    def host(self) -> str:
        """Who asked for it."""
        return host_and_name(self.job.label)[0]

    @property
    def is_mine(self) -> bool:
        """Whether this app asked for it."""
        return self.job.label.startswith(f"{OWN_LABEL}:")

    @property
    def is_active(self) -> bool:
        """Whether something still happens to it."""
        return not self.job.is_final

    @property
    def title(self) -> str:
        """Who asked, and for what."""
        host, name = host_and_name(self.job.label)
        return f"{host}: {name or _output_name(self.output)}"

    @property
    def what(self) -> str:
        """What is made, in a word or two."""
        return _TASKS.get(self.job.request.task, self.job.request.task)

    def can(self, verb: str) -> bool:
        """Whether one of `layerflow.wire.jobs.VERBS`, or "move", can be done to it now."""
        return self.state in (("queued", "paused") if verb == "move" else VERBS[verb][0])


def row_of(job: Job, left_s: float | None = None) -> Row:
    """The line of a job."""
    return Row(job, of_job(job, left_s), left_s if job.state == "running" else None)


def _output_name(output: str) -> str:
    return _FRAME_FIELD.sub("", PurePath(output.replace("\\", "/")).name)
