"""The OpenAPI document of the server."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from layerflow.server.guard import OPEN
from layerflow.server.schemas import JobEvent

_ABOUT = """\
One queue of jobs for Nuke, Blender, the desktop app and the command line.

Every address but `/v1/health` wants the token of the server's `server.json` as `Authorization: Bearer TOKEN`. What is
posted is JSON. A refusal says in one sentence what is wrong, then the next step.
"""
_TOKEN = {"type": "http", "scheme": "bearer", "description": "From server.json in the user's runtime folder."}


def document(app: FastAPI) -> dict[str, Any]:
    """What `app` answers to, as OpenAPI 3.1 tells it; put together when it is asked for first."""
    if app.openapi_schema is None:
        app.openapi_schema = _describe(app)
    return app.openapi_schema


def _describe(app: FastAPI) -> dict[str, Any]:
    values = get_openapi(title=app.title, version=app.version, description=_ABOUT, routes=app.routes)
    values["components"]["securitySchemes"] = {"token": _TOKEN}
    values["components"]["schemas"]["JobEvent"] = JobEvent.model_json_schema()
    values["security"] = [{"token": []}]
    for path, methods in values["paths"].items():
        if path in OPEN:
            methods["get"]["security"] = []
    return values
