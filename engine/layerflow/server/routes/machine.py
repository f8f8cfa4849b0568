"""The machine: whether it is well, what it has, and how busy it is."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse, Response

from layerflow import __version__
from layerflow.server.document import document
from layerflow.server.routes import Here, Who, refusals
from layerflow.server.schemas import Devices, Health, Models
from layerflow.server.service import Service
from layerflow.server.survey import Survey, SurveyError
from layerflow.wire.running import API

router = APIRouter(tags=["machine"])

_LOOK_S = 0.05
_TEXT: dict[str, Any] = {
    "description": "Figures as they are now.",
    "content": {"text/plain": {"schema": {"type": "string"}}},
}


@router.get("/v1/health", response_model=Health, response_description="It is here.", responses=refusals())
async def health() -> JSONResponse:
    """Says that a server is here. Needs no token and tells nothing else."""
    return JSONResponse({"status": "ok", "version": __version__, "api": API})


@router.get("/v1/models", response_model=Models, response_description="All of them.", responses=refusals())
async def models(service: Here) -> JSONResponse:
    """Lists the models on the server's machine."""
    return JSONResponse({"models": (await _survey(service)).models})


@router.get("/v1/devices", response_model=Devices, response_description="All of them.", responses=refusals())
async def devices(service: Here) -> JSONResponse:
    """Lists the devices of the server's machine."""
    return JSONResponse({"devices": (await _survey(service)).devices})


@router.get("/v1/openapi.json", include_in_schema=False)
def openapi(request: Request) -> JSONResponse:
    """Describes the API."""
    return JSONResponse(document(request.app))


@router.get("/metrics", response_class=Response, responses={200: _TEXT, **refusals()})
def metrics(who: Who, request: Request) -> Response:
    """Tells how the queue, the workers and the answers are doing, in Prometheus' text format. No user is told."""
    who.refuse_users()
    return Response(request.app.state.metrics.text(), media_type=CONTENT_TYPE_LATEST)


async def _survey(service: Service) -> Survey:
    """What the machine has; some seconds after its start the server knows. Raises SurveyError."""
    until = time.monotonic() + service.settings.limits.patience_s
    while not service.found.done():
        if time.monotonic() > until or service.leaving.is_set():
            raise SurveyError("the server is still finding out what this machine has; ask again in a moment")
        await asyncio.sleep(_LOOK_S)
    return service.found.result()
