"""A job on its way through the server's queue: its states, what may follow what, and what is told of it."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Dict, Mapping, Optional, Tuple

from layerflow.wire import checks
from layerflow.wire.request import Request

# What may follow each state. A running job goes back to "queued" when its worker is lost or the server drains; it
# resumes from its last saved step.
TRANSITIONS = {
    "queued": ("running", "paused", "cancelled"),
    "running": ("done", "failed", "cancelled", "queued", "paused"),
    "paused": ("queued", "cancelled"),
    "done": (),
    "failed": ("queued",),
    "cancelled": ("queued",),
}  # type: Dict[str, Tuple[str, ...]]

STATES = tuple(TRANSITIONS)
FINAL_STATES = ("done", "failed", "cancelled")  # nothing leaves them by itself

# What people may ask for: the states it is asked in, and the state it leads to.
VERBS = {
    "cancel": (("queued", "running", "paused"), "cancelled"),
    "retry": (("failed", "cancelled"), "queued"),
    "pause": (("queued", "running"), "paused"),
    "resume": (("paused",), "queued"),
}  # type: Dict[str, Tuple[Tuple[str, ...], str]]

EVENT_KINDS = ("state", "progress", "frame", "warning")
MAX_LABEL = 200  # characters

_ID = re.compile("[0-9a-f]{32}")


def can_go(before: str, after: str) -> bool:
    """Whether a job in state `before` may turn to state `after`. ValueError for a state there is not."""
    checks.check_choice("state", before, STATES)
    checks.check_choice("state", after, STATES)
    return after in TRANSITIONS[before]


def state_after(verb: str, state: str) -> str:
    """The state that one of VERBS leads to from `state`. A ValueError says why it leads nowhere."""
    checks.check_choice("verb", verb, tuple(VERBS))
    checks.check_choice("state", state, STATES)
    states, after = VERBS[verb]
    if state not in states:
        raise ValueError("a {} job cannot {}; only a {} one can".format(state, verb, " or ".join(states)))
    return after


def check_id(text: Any) -> None:
    """The id of a job is 32 hex digits; anything else is a ValueError."""
    if not isinstance(text, str) or _ID.fullmatch(text) is None:
        raise ValueError("a job's id is 32 hex digits, got {!r}; layerflow jobs list shows them".format(text))


def check_label(text: str) -> None:
    """A label is printable and not long; anything else is a ValueError."""
    checks.check_printable("the label", text)
    if len(text) > MAX_LABEL:
        raise ValueError("the label has {} characters; {} at most".format(len(text), MAX_LABEL))


@dataclass(frozen=True)
class Progress:
    """How far a job is: `done` of `total` steps in the stage at hand, and frames written of the whole shot."""

    stage: str = ""  # in words
    done: int = 0
    total: int = 0
    frames_done: int = 0
    frames_total: int = 0

    def __post_init__(self) -> None:
        checks.check_types(self)
        checks.check_range("done", self.done, 0, self.total)
        checks.check_range("frames_done", self.frames_done, 0, self.frames_total)

    def to_dict(self) -> Dict[str, Any]:
        """Every field by name, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Progress":
        """The progress that `to_dict` described. Fields that are unknown here are left out."""
        return cls(**_known(cls, values))


@dataclass(frozen=True)
class Job:
    """One request in the queue, as the server told it last. Times are seconds since 1970, UTC."""

    id: str  # 32 hex digits
    state: str  # one of STATES
    request: Request
    label: str = ""  # a host's own name for it, like "nuke:shot.nk/LayerFlow1"
    overwrite: bool = False  # whether frames that are already there are replaced
    position: int = 0  # its place in the queue
    created_at: Optional[float] = None
    started_at: Optional[float] = None
    finished_at: Optional[float] = None
    attempts: int = 0  # how often a worker took it up
    device: Optional[str] = None
    progress: Progress = field(default_factory=Progress)
    message: str = ""  # one sentence: why it failed, or what it waits for
    warnings: Tuple[str, ...] = ()
    result: Optional[Dict[str, Any]] = None  # what `layerflow decompose --json` prints; None until it is done

    def __post_init__(self) -> None:
        checks.check_types(self, apart=("request", "progress"))
        check_id(self.id)
        checks.check_choice("state", self.state, STATES)
        check_label(self.label)

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens to it unless someone asks."""
        return self.state in FINAL_STATES

    def after(self, event: "JobEvent") -> "Job":
        """This job as it is after one of its events. ValueError where the event tells of no job that can be."""
        if event.kind == "state":
            return Job.from_dict(event.data)
        if event.kind == "progress":
            return replace(self, progress=Progress.from_dict(event.data))
        if event.kind == "frame":
            frames = {"frames_done": event.data.get("done", 0), "frames_total": event.data.get("total", 0)}
            return replace(self, progress=replace(self.progress, **frames))
        if event.kind == "warning":
            return replace(self, warnings=(*self.warnings, str(event.data.get("message", ""))))
        return self

    def to_dict(self) -> Dict[str, Any]:
        """Every field by name, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Job":
        """The job that `to_dict` described, by this server or a newer one: unknown fields are left out."""
        known = _known(cls, values)
        for name, kind in (("request", Request.accepted), ("progress", Progress.from_dict)):
            if name in known:
                known[name] = kind(_as_object(name, known[name]))
        for name in ("id", "state", "request"):
            if name not in known:
                raise ValueError("a job needs the field {!r}".format(name))
        return cls(**known)


@dataclass(frozen=True)
class JobEvent:
    """One thing that happened to a job.

    `data` is, for "state", the whole Job; for "progress" a Progress; for "frame" the path written, and how many of how
    many are (`path`, `done`, `total`); for "warning" a `message` of one sentence.
    """

    id: int  # rises over everything a server does and is never used again
    job: str  # the id of the job
    kind: str  # one of EVENT_KINDS
    at: float  # seconds since 1970, UTC
    data: Dict[str, Any]

    def __post_init__(self) -> None:
        checks.check_types(self)
        check_id(self.job)
        checks.check_choice("kind", self.kind, EVENT_KINDS)

    def to_dict(self) -> Dict[str, Any]:
        """Every field by name, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "JobEvent":
        """The event that `to_dict` described. Fields that are unknown here are left out."""
        known = _known(cls, values)
        for each in fields(cls):
            if each.name not in known:
                raise ValueError("an event needs the field {!r}".format(each.name))
        return cls(**known)


def _known(kind: Any, values: Mapping[str, Any]) -> Dict[str, Any]:
    """Those of `values` that are fields of the dataclass `kind`, with JSON's lists as tuples."""
    names = [each.name for each in fields(kind)]
    found = {name: values[name] for name in names if name in values}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}


def _as_object(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("{} must be an object, got {!r}".format(name, value))
    return value
