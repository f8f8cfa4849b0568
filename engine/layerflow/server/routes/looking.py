"""A closer look at one job: how its layers look so far, and what its workers wrote down."""

from __future__ import annotations

import contextlib
import os
import re
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path
from starlette.responses import Response

from layerflow.server.errors import NoPreviewError
from layerflow.server.folder import ServerFolder
from layerflow.server.routes import Here, Who, refusals, tagged
from layerflow.server.schemas import JobId

router = APIRouter(prefix="/v1/jobs/{job}", tags=["looking"])

_LAYER = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_TEXT: dict[str, Any] = {"text/plain": {"schema": {"type": "string"}}}
_PICTURE: dict[str, Any] = {"image/jpeg": {"schema": {"type": "string", "contentMediaType": "image/jpeg"}}}
_ETAG: dict[str, Any] = {"ETag": {"description": "Of this picture.", "schema": {"type": "string"}}}

Layer = Annotated[str, Path(description="foreground, background, blended or alpha.", examples=["foreground"])]
Known = Annotated[str, Header(alias="If-None-Match", description="ETag of the picture that is already there.")]


@router.get(
    "/preview/{layer}",
    response_class=Response,
    responses={
        200: {"description": "How the layer looks so far.", "content": _PICTURE, "headers": _ETAG},
        304: {"description": "As it looked before."},
        **refusals(404),
    },
)
def preview(service: Here, who: Who, job: JobId, layer: Layer, known: Known = "") -> Response:
    """Shows a layer of a job as it looks so far. Asking has pictures made while the job runs, a few per second."""
    if service.store.get(job, owner=who.sees).state == "running":
        _say_that_somebody_looks(service.folder, job)
    picture, etag = _picture(service.folder, job, layer)
    return tagged(picture, "image/jpeg", etag, known=known)


@router.get(
    "/log",
    response_class=Response,
    responses={200: {"description": "The end of it, where it is long.", "content": _TEXT}, **refusals(404)},
)
def log(service: Here, who: Who, job: JobId) -> Response:
    """Tells what the engine wrote down while it made the job."""
    service.store.get(job, owner=who.sees)
    try:
        text = service.folder.log_of(job).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        text = ""
    return Response(who.told(text), media_type="text/plain")


def _say_that_somebody_looks(folder: ServerFolder, job: str) -> None:
    path = folder.looked_at(job)
    with contextlib.suppress(OSError):  # without room for an empty file there is none for a picture
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def _picture(folder: ServerFolder, job: str, layer: str) -> tuple[bytes, str]:
    """A JPEG and its ETag. Raises NoPreviewError."""
    try:
        if _LAYER.fullmatch(layer) is None:
            raise FileNotFoundError(layer)
        with folder.preview_of(job, layer).open("rb") as file:
            found = os.fstat(file.fileno())
            return file.read(), f'"{found.st_mtime_ns:x}-{found.st_size:x}"'
    except OSError as error:
        raise NoPreviewError(f"there is no picture of {layer[:40]!r} yet; ask again while the job runs") from error
