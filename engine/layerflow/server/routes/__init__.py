"""The addresses of the API, and what they share."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.responses import Response

from layerflow.server.askers import Asker
from layerflow.server.errors import LeavingError
from layerflow.server.guard import ASKER
from layerflow.server.schemas import Problem
from layerflow.server.service import Service
from layerflow.server.streams import Streams

_WORDS = {
    400: "What was sent cannot be read.",
    401: "The token is missing or not the server's.",
    403: "The server does not let anyone go there.",
    404: "There is no such thing.",
    405: "This address takes another method.",
    408: "The request took too long to come.",
    409: "The job or the upload is in no state for that.",
    413: "The body is too long, or the space too small.",
    415: "The body is not declared as what it has to be.",
    416: "The file has no such bytes.",
    422: "What was sent is not what the server takes.",
    429: "The queue is full, or as many streams are open as may be.",
    503: "The server cannot do that just now.",
    507: "The file cannot be stored.",
}
_ALWAYS = (400, 401, 403, 405, 408, 413, 415, 422, 429, 503)


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What an address may say no with, for the document: these, and what every address may."""
    return {status: {"model": Problem, "description": _WORDS[status]} for status in sorted({*_ALWAYS, *statuses})}


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _streams(request: Request) -> Streams:
    streams: Streams = request.app.state.streams
    return streams


def _asker(request: Request) -> Asker:
    asker: Asker = request.scope[ASKER]
    return asker


def refuse_when_leaving(service: Service) -> None:
    """Raises LeavingError once the server takes no more work."""
    if service.leaving.is_set():
        raise LeavingError("the server is on its way down; ask again in a moment")


def tagged(body: bytes, kind: str, etag: str, *, known: str, **headers: str) -> Response:
    """`body` under its `etag`; or a 304 without it where `known`, the If-None-Match of the client, names that."""
    headers = {"ETag": etag, **headers}
    if etag in (each.strip().removeprefix("W/") for each in known.split(",")):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=kind, headers=headers)


Here = Annotated[Service, Depends(_service)]
Told = Annotated[Streams, Depends(_streams)]
Who = Annotated[Asker, Depends(_asker)]
