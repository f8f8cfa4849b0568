"""What happens, as it happens: server-sent events."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header
from starlette.responses import Response

from layerflow.server.routes import Here, Told, Who, refusals, refuse_when_leaving
from layerflow.server.schemas import JobId
from layerflow.server.streams import EventStream

router = APIRouter(prefix="/v1", tags=["events"])

_EXAMPLE = 'id: 7\nevent: state\ndata: {"id": 7, "kind": "state", …}\n\n'
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": (
            "Events without end, each with `id`, `event` (its kind) and `data` (a JobEvent). A comment comes where "
            "nothing happened for ten seconds."
        ),
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}},
    }
}

After = Annotated[
    str,
    Header(
        alias="Last-Event-ID",
        description="The id of the last event that came; left out: everything still known.",
        pattern="^[0-9]{1,18}$",
    ),
]


@router.get("/events", response_class=Response, responses={**_STREAM, **refusals()})
def events(service: Here, who: Who, streams: Told, after: After = "0") -> Response:
    """Tells what happens to all jobs; to a user's own alone."""
    refuse_when_leaving(service)
    return EventStream(streams, who, job=None, after=int(after))


@router.get("/jobs/{job}/events", response_class=Response, responses={**_STREAM, **refusals(404)})
def job_events(service: Here, who: Who, streams: Told, job: JobId, after: After = "0") -> Response:
    """Tells what happens to one job, until it is over."""
    refuse_when_leaving(service)
    found = service.store.get(job, owner=who.sees)
    return EventStream(streams, who, job=found, after=int(after))
