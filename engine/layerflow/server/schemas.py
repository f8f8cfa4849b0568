"""What the API takes and tells, as its OpenAPI document describes it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, WithJsonSchema

from layerflow import wire
from layerflow.server.asked import EXAMPLE, request_schema
from layerflow.wire import Request
from layerflow.wire.jobs import MAX_LABEL, check_id, check_label

State = Literal["queued", "running", "paused", "done", "failed", "cancelled"]
Kind = Literal["state", "progress", "frame", "warning"]

_EXAMPLE_ID = "3f1c0a52e7d94b0cb1f2a86f0d5e9c47"


def _id(text: str) -> str:
    check_id(text)
    return text


def _label(text: str) -> str:
    check_label(text)
    return text


def _request(values: Any) -> Request:
    if not isinstance(values, dict):
        raise ValueError(f"request must be an object, got {type(values).__name__}; give its fields by name")
    return Request.from_dict(values)


_LABELLED = "nuke:dog.nk/LayerFlow1"
_JOB = wire.Job(
    id=_EXAMPLE_ID,
    state="running",
    request=Request.from_dict(EXAMPLE),
    label=_LABELLED,
    position=1 << 20,
    created_at=1767225600.0,
    started_at=1767225601.5,
    attempts=1,
    device="cuda:0",
    progress=wire.Progress(stage="Sampling", done=12, total=50, frames_done=0, frames_total=49),
).to_dict()
_EVENT = wire.JobEvent(id=7, job=_EXAMPLE_ID, kind="progress", at=1767225609.0, data=_JOB["progress"]).to_dict()
_SUBMISSION: dict[str, Any] = {"request": EXAMPLE, "label": _LABELLED, "overwrite": False}

_ID = {"type": "string", "pattern": "^[0-9a-f]{32}$", "examples": [_EXAMPLE_ID]}
_LABEL: dict[str, Any] = {
    "type": "string",
    "pattern": r"^[^\x00-\x1f\x7f-\x9f]*$",
    "maxLength": MAX_LABEL,
    "description": "A host's own name for the job.",
}

# The wire's own checks say no in better sentences than a schema does.
JobId = Annotated[str, AfterValidator(_id), WithJsonSchema(_ID)]
Label = Annotated[str, AfterValidator(_label), WithJsonSchema(_LABEL)]
Asked = Annotated[Request, PlainValidator(_request), WithJsonSchema(request_schema())]
AsTold = Annotated[dict[str, Any], WithJsonSchema(request_schema())]


class Strict(BaseModel):
    """Takes what it names and nothing else, and turns no text into a number."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Submission(Strict):
    """A request for the end of the queue."""

    request: Asked
    label: Label = ""
    overwrite: bool = Field(default=False, description="Whether frames that are already there are replaced.")

    model_config = ConfigDict(json_schema_extra={"examples": [_SUBMISSION]})


class Move(Strict):
    """A place in the queue."""

    before: JobId | None = Field(description="The waiting job to be made after this one; null: the end of the queue.")


class Nothing(Strict):
    """An empty object."""


def _in_digits(value: object) -> object:
    """The text of a number as it is; pydantic would take any white space around it too, Unicode's included."""
    if isinstance(value, str) and not (value.isascii() and value.isdigit()):
        raise ValueError("a number is written in digits alone; leave it out, or send one like 100")
    return value


class Wanted(BaseModel):
    """Which jobs to list."""

    model_config = ConfigDict(extra="forbid")

    state: State | None = Field(default=None, description="Only jobs in this state.")
    label: Label | None = Field(default=None, description="Only jobs with this label.")
    limit: Annotated[int, BeforeValidator(_in_digits)] = Field(
        default=100, ge=1, le=1000, description="How many at most; long shots make a page end early."
    )
    after: JobId | None = Field(default=None, description="Only those behind this job; `next` of the page before.")


class Progress(BaseModel):
    """How far a job is."""

    stage: str = Field(description="What it is at, in words.")
    done: int = Field(description="Steps of this stage.", ge=0)
    total: int = Field(ge=0)
    frames_done: int = Field(description="Frames written of the whole shot.", ge=0)
    frames_total: int = Field(ge=0)


class Job(BaseModel):
    """One request in the queue. Times are seconds since 1970, UTC."""

    model_config = ConfigDict(json_schema_extra={"examples": [_JOB]})

    id: JobId
    state: State
    request: AsTold
    label: str
    overwrite: bool
    position: int = Field(description="Its place in the queue: jobs are made in rising order.")
    created_at: float | None
    started_at: float | None
    finished_at: float | None
    attempts: int = Field(description="How often a worker took it up.", ge=0)
    device: str | None = Field(description="Where it is or was made.")
    progress: Progress
    message: str = Field(description="One sentence: why it failed, or what it waits for.")
    warnings: list[str]
    result: dict[str, Any] | None = Field(description="What `layerflow decompose --json` prints; null until done.")


class Jobs(BaseModel):
    """One page of the queue, in its order."""

    jobs: list[Job]
    next: JobId | None = Field(description="Give it as `after` for the page behind this one; null on the last.")
    event: int = Field(description="The last event that the page knows of: give it as Last-Event-ID to hear the rest.")


class JobEvent(BaseModel):
    """One thing that happened to a job: the `data` of a server-sent event."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EVENT]})

    id: int = Field(description="Rises over everything the server ever does.")
    job: JobId
    kind: Kind
    at: float = Field(description="Seconds since 1970, UTC.")
    data: dict[str, Any] = Field(
        description=(
            "For state the whole Job; for progress a Progress; for frame its path and how many of how many are "
            "written; for warning a message."
        )
    )


class Health(BaseModel):
    """That a server is here, and what it speaks."""

    status: Literal["ok"]
    version: str = Field(examples=["0.1.0"])
    api: int = Field(examples=[1])


class Model(BaseModel):
    """A model on the server's machine."""

    name: str = Field(examples=["mini"])
    tasks: list[str]
    width: int
    height: int
    fps: float
    foregrounds: dict[str, int] = Field(
        {}, description="How many it makes at once, by task.", examples=[{"generate": 2}]
    )


class Models(BaseModel):
    """The models on the server's machine."""

    models: list[Model]


class Device(BaseModel):
    """A device of the server's machine."""

    name: str = Field(examples=["cuda:0"])
    product: str
    memory_bytes: int


class Devices(BaseModel):
    """The devices of the server's machine."""

    devices: list[Device]


class Refusal(BaseModel):
    """Why not."""

    kind: str = Field(description="A word for programs.", examples=["JobNotFoundError"])
    message: str = Field(description="One sentence for people: what is wrong, then the next step.")
    path: str = Field("", description="Of an OutsideError: the path that no job may use.", examples=["/mnt/show/a.exr"])
    offset: int = Field(0, description="Of an UploadError: how many bytes are there.", ge=0)
    roots: list[str] = Field([], description="Of an OutsideError: the folders that jobs may use.")


class Problem(BaseModel):
    """The answer that says no."""

    error: Refusal
