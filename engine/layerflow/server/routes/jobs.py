"""Jobs: submit, look, list, and what people may ask of one."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Query
from starlette.responses import JSONResponse

from layerflow.server.acceptance import accepted
from layerflow.server.askers import Asker
from layerflow.server.routes import Here, Who, refusals, refuse_when_leaving
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
def submit(service: Here, who: Who, body: Submission, key: Key = None) -> JSONResponse:
    """Puts a request at the end of the queue."""
    refuse_when_leaving(service)
    request = accepted(body.request, service, who.space)
    limits: dict[str, Any] = {}
    if who.space is not None:
        service.ledger.take_stock(who.space)
        service.ledger.refuse_when_full(who.space)
        limits = {"owner": who.space.owner, "most": who.space.limit_jobs}
    job, new = service.store.submit(request, label=body.label, overwrite=body.overwrite, key=key, **limits)
    return _changed(service, who, job, 201 if new else 200)


@router.get("", name="list", response_model=Jobs, response_description="One page.", responses=refusals(404))
def list_jobs(service: Here, who: Who, wanted: Annotated[Wanted, Query()]) -> JSONResponse:
    """Lists jobs in the order of the queue, a page at a time; a user's own alone."""
    page = service.store.page(**wanted.model_dump(), owner=who.sees)
    return JSONResponse({"jobs": who.told(page.jobs), "next": page.next, "event": page.event})


@router.get("/{job}", response_model=Job, response_description=_NOW, responses=refusals(404))
def get(service: Here, who: Who, job: JobId) -> JSONResponse:
    """Tells of one job."""
    return JSONResponse(who.told(service.store.get(job, owner=who.sees).to_dict()))


@router.post("/{job}/cancel", response_model=Job, response_description=_NOW, responses=refusals(404, 409))
def cancel(service: Here, who: Who, job: JobId, _: Annotated[Nothing, Body()]) -> JSONResponse:
    """Makes a job no further. What is done of it stays, and `retry` goes on from there."""
    return _changed(service, who, service.store.ask("cancel", job, owner=who.sees))


@router.post("/{job}/retry", response_model=Job, response_description=_NOW, responses=refusals(404, 409))
def retry(service: Here, who: Who, job: JobId, _: Annotated[Nothing, Body()]) -> JSONResponse:
    """Puts a job that failed or was cancelled at the end of the queue; it goes on from its last saved step."""
    return _changed(service, who, service.store.ask("retry", job, owner=who.sees))


@router.post("/{job}/pause", response_model=Job, response_description=_NOW, responses=refusals(404, 409))
def pause(service: Here, who: Who, job: JobId, _: Annotated[Nothing, Body()]) -> JSONResponse:
    """Has a job wait until `resume`. What is done of it stays."""
    return _changed(service, who, service.store.ask("pause", job, owner=who.sees))


@router.post("/{job}/resume", response_model=Job, response_description=_NOW, responses=refusals(404, 409))
def resume(service: Here, who: Who, job: JobId, _: Annotated[Nothing, Body()]) -> JSONResponse:
    """Puts a paused job back to its place in the queue."""
    return _changed(service, who, service.store.ask("resume", job, owner=who.sees))


@router.post("/{job}/move", response_model=Job, response_description=_NOW, responses=refusals(404, 409))
def move(service: Here, who: Who, job: JobId, body: Move) -> JSONResponse:
    """Puts a waiting job before another one, or at the end of the queue."""
    return _changed(service, who, service.store.move(job, body.before, owner=who.sees))


def _changed(service: Service, who: Asker, job: WireJob, status: int = 200) -> JSONResponse:
    """`job` as it is now, and those who listen hear of it at once."""
    service.changed.set()
    return JSONResponse(who.told(job.to_dict()), status)
