"""The machine: whether it is well, what it has, and how busy it is."""

from __future__ import annotations

import asyncio
import time

from fastapi import APIRouter
from starlette.responses import JSONResponse

from layerflow import __version__
from layerflow.server.routes import Here, refusals
from layerflow.server.schemas import Devices, Health, Models
from layerflow.server.service import Service
from layerflow.server.survey import Survey, SurveyError
from layerflow.wire.running import API

router = APIRouter(prefix="/v1", tags=["machine"])

_LOOK_S = 0.05


@router.get("/health", response_model=Health, responses=refusals())
async def health() -> JSONResponse:
    """Says that a server is here. Needs no token and tells nothing else."""
    return JSONResponse({"status": "ok", "version": __version__, "api": API})


@router.get("/models", response_model=Models, responses=refusals())
async def models(service: Here) -> JSONResponse:
    """Lists the models on the server's machine."""
    return JSONResponse({"models": (await _survey(service)).models})


@router.get("/devices", response_model=Devices, responses=refusals())
async def devices(service: Here) -> JSONResponse:
    """Lists the devices of the server's machine."""
    return JSONResponse({"devices": (await _survey(service)).devices})


async def _survey(service: Service) -> Survey:
    """What the machine has; some seconds after its start the server knows. Raises SurveyError."""
    until = time.monotonic() + service.settings.limits.patience_s
    while not service.found.done():
        if time.monotonic() > until or service.leaving.is_set():
            raise SurveyError("the server is still finding out what this machine has; ask again in a moment")
        await asyncio.sleep(_LOOK_S)
    return service.found.result()
