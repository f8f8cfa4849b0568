"""Jobs: submit, look, list, and what people may ask of one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Header, Query
from starlette.responses import JSONResponse

from layerflow.server.acceptance import accepted
from layerflow.server.routes import Here, refusals, refuse_when_leaving
from layerflow.server.schemas import Job, JobId, Jobs, Move, Nothing, Submission, Wanted
from layerflow.server.service import Service
from layerflow.wire import Job as WireJob

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_NOW = "The job as it is now."

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="Made once per wish: the same key gives the same job, however often it is sent.",
        pattern="^[!-~]{1,200}$",
    ),
]


@router.post(
    "",
    status_code=201,
    response_model=Job,
    response_description="The new job.",
    responses={200: {"model": Job, "description": "The job that came with this key before."}, **refusals(409)},
)
def submit(service: Here, body: Submission, key: Key = None) -> JSONResponse:
    """Puts a request at the end of the queue."""
    refuse_when_leaving(service)
    request = accepted(body.request, service)
    job, new = service.store.submit(request, label=body.label, overwrite=body.overwrite, key=key)
    return _changed(service, job, 201 if new else 200)


@router.get("", name="list", response_model=Jobs, response_description="One page.", responses=refusals(404))
def list_jobs(service: Here, wanted: Annotated[Wanted, Query()]) -> JSONResponse:
    """Lists jobs in the order of the queue, a page at a time."""
    page = service.store.page(state=wanted.state, label=wanted.label, limit=wanted.limit, after=wanted.after)
    return JSONResponse({"jobs": page.jobs, "next": page.next, "event": page.event})


@router.get("/{job}", response_model=Job, response_description=_NOW, responses=refusals(404))
def get(service: Here, job: JobId) -> JSONResponse:
    """Tells of one job."""
    return JSONResponse(service.store.get(job).to_dict())


@router.post("/{job}/cancel", response_model=Job, response_description=_NOW, responses=refusals(404, 409))
def cancel(service: Here, job: JobId, _: Annotated[Nothing, Body()]) -> JSONResponse:
    """Makes a job no further. What is done of it stays, and `retry` goes on from there."""
    return _changed(service, service.store.ask("cancel", job))


@router.post("/{job}/retry", response_model=Job, response_description=_NOW, responses=refusals(404, 409))
def retry(service: Here, job: JobId, _: Annotated[Nothing, Body()]) -> JSONResponse:
    """Puts a job that failed or was cancelled at the end of the queue; it goes on from its last saved step."""
    return _changed(service, service.store.ask("retry", job))


@router.post("/{job}/pause", response_model=Job, response_description=_NOW, responses=refusals(404, 409))
def pause(service: Here, job: JobId, _: Annotated[Nothing, Body()]) -> JSONResponse:
    """Has a job wait until `resume`. What is done of it stays."""
    return _changed(service, service.store.ask("pause", job))


@router.post("/{job}/resume", response_model=Job, response_description=_NOW, responses=refusals(404, 409))
def resume(service: Here, job: JobId, _: Annotated[Nothing, Body()]) -> JSONResponse:
    """Puts a paused job back to its place in the queue."""
    return _changed(service, service.store.ask("resume", job))


@router.post("/{job}/move", response_model=Job, response_description=_NOW, responses=refusals(404, 409))
def move(service: Here, job: JobId, body: Move) -> JSONResponse:
    """Puts a waiting job before another one, or at the end of the queue."""
    return _changed(service, service.store.move(job, body.before))


def _changed(service: Service, job: WireJob, status: int = 200) -> JSONResponse:
    """`job` as it is now, and those who listen hear of it at once."""
    service.changed.set()
    return JSONResponse(job.to_dict(), status)
