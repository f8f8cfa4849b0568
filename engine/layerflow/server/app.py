"""The application that answers: every address, behind one door."""

from __future__ import annotations

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from layerflow import __version__
from layerflow.errors import LayerFlowError
from layerflow.server.guard import ASKER, Guard
from layerflow.server.invalid import what_is_invalid
from layerflow.server.metrics import Counted, Metrics
from layerflow.server.problems import problem, problem_of
from layerflow.server.routes import events, files, jobs, looking, machine, page
from layerflow.server.service import Service
from layerflow.server.streams import Streams

THREADS = 6  # each keeps its own connection to the queue, and what that read last

_REFUSALS = {
    400: ("NotReadable", "the request cannot be read; send JSON as /v1/openapi.json describes"),
    404: ("NoSuchAddress", "there is nothing at this address; /v1/openapi.json lists those there are"),
    405: ("MethodNotAllowed", "this address takes another method; /v1/openapi.json says which"),
}


def create_app(service: Service) -> ASGIApp:
    """What answers for `service`, behind the guard."""
    app = FastAPI(
        title="LayerFlow",
        version=__version__,
        openapi_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.service = service
    app.state.streams = Streams(service)
    app.state.metrics = Metrics(service, app.state.streams)
    for router in (machine.router, jobs.router, looking.router, events.router, files.router, page.router):
        app.include_router(router)
    app.add_exception_handler(LayerFlowError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _no_such_thing)
    app.add_exception_handler(Exception, _failed)
    return _with_few_threads(Counted(Guard(app, service), app.state.metrics))


def _with_few_threads(app: ASGIApp) -> ASGIApp:
    """`app`, with THREADS of the event loop's for all that waits for the queue."""

    async def limited(scope: Scope, receive: Receive, send: Send) -> None:
        current_default_thread_limiter().total_tokens = THREADS
        await app(scope, receive, send)

    return limited


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, LayerFlowError)
    return problem_of(error, request.scope[ASKER])


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return what_is_invalid(error.errors())


async def _no_such_thing(_: Request, error: Exception) -> JSONResponse:
    """What the framework refuses by itself."""
    assert isinstance(error, HTTPException)
    kind, sentence = _REFUSALS[error.status_code]
    return problem(error.status_code, kind, sentence, **dict(error.headers or {}))


async def _failed(_: Request, error: Exception) -> JSONResponse:
    """Nobody foresaw `error`, which goes on from here to the server's log."""
    return problem(500, "Failed", "the server failed inside; its log says more, then try again")
