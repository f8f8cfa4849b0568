"""Files of a user's space: up and down in chunks, each with a checksum, from wherever the last one ended."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Depends, Header, Path, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from layerflow.server import digests
from layerflow.server.errors import JobStateError
from layerflow.server.file_schemas import JobFiles, Offset, SpaceState, UploadBegun, UploadWish
from layerflow.server.forms import CHUNK
from layerflow.server.problems import problem
from layerflow.server.results import files_of
from layerflow.server.routes import Here, Who, refusals, refuse_when_leaving
from layerflow.server.schemas import JobId
from layerflow.server.service import Service
from layerflow.server.space_files import Entry, Upload
from layerflow.wire import checksums

router = APIRouter(prefix="/v1", tags=["files"])

PIECE = 1 << 18  # bytes sent at a time: each has its own time to be taken

_RANGE = re.compile("bytes=([0-9]{1,18})-([0-9]{0,18})")
_TYPE = "application/octet-stream"
_BYTES: dict[str, Any] = {_TYPE: {"schema": {"type": "string", "format": "binary"}}}
_SENT: dict[str, Any] = {
    "requestBody": {"required": True, "content": {CHUNK: {"schema": {"type": "string", "format": "binary"}}}}
}
_HEADERS: dict[str, Any] = {
    "Repr-Digest": {"description": "Of the whole file.", "schema": {"type": "string", "pattern": digests.PATTERN}}
}

Name = Annotated[str, Path(description="Of a file of the space.", examples=["posix-ws7/shots/dog/plate.1001.exr"])]
Span = Annotated[
    str,
    Header(alias="Range", description="`bytes=FIRST-LAST`; no more than a chunk of that comes at a time."),
]
At = Annotated[Offset, Header(alias="Upload-Offset", description="How many bytes are there already.")]
Checked = Annotated[
    str,
    Header(alias="Content-Digest", pattern=digests.PATTERN, description="SHA-256 of this chunk, as in RFC 9530."),
]


async def _chunk(request: Request) -> bytes:
    return await request.body()


@router.get("/space", response_model=SpaceState, response_description="As it is now.", responses=refusals(507))
def space(service: Here, who: Who) -> JSONResponse:
    """Tells how much of the user's space and place in the queue is taken."""
    space = who.own_space
    service.ledger.take_stock(space)
    used, files = service.ledger.used(space.owner)
    state = SpaceState(
        user=space.owner,
        used_bytes=used,
        limit_bytes=space.limit_bytes,
        files=files,
        jobs_waiting=service.store.waiting(space.owner),
        jobs_limit=space.limit_jobs,
        chunk_bytes=service.settings.limits.chunk_bytes,
    )
    return JSONResponse(state.model_dump())


@router.post(
    "/files",
    status_code=201,
    response_model=UploadBegun,
    response_description="It may come now.",
    responses={200: {"model": UploadBegun, "description": "The space has that content already."}, **refusals(409, 507)},
)
def begin_upload(service: Here, who: Who, body: UploadWish) -> JSONResponse:
    """Begins a file, or goes on with it: says from where. What the space has under any name need not be sent."""
    refuse_when_leaving(service)
    upload = Upload(name=body.name, size=body.size, sha256=body.sha256, modified_ns=body.modified_ns)
    offset = service.uploads.begin(who.own_space, upload)
    return _begun(upload, offset, 200 if offset == upload.size else 201)


@router.patch(
    "/files/{name:path}",
    response_model=UploadBegun,
    response_description="It is there.",
    responses=refusals(404, 409, 507),
    openapi_extra=_SENT,
)
def upload_chunk(
    service: Here, who: Who, name: Name, chunk: Annotated[bytes, Depends(_chunk)], offset: At, digest: Checked
) -> JSONResponse:
    """Puts the next bytes of a file where it ends so far. With the last ones the file is there under its name."""
    upload = service.uploads.append(who.own_space, name, offset, chunk, digests.read(digest))
    return _begun(upload, offset + len(chunk), 200)


@router.get(
    "/files/{name:path}",
    response_class=Response,
    responses={
        200: {"description": "The whole file.", "content": _BYTES, "headers": _HEADERS},
        206: {"description": "Some of it, with a `Content-Digest` of that.", "content": _BYTES, "headers": _HEADERS},
        **refusals(404, 416),
    },
)
def download(service: Here, who: Who, name: Name, span: Span = "") -> Response:
    """Sends a file of the space, or some bytes of it."""
    with ExitStack() as stack:
        file, entry = stack.enter_context(service.ledger.opened(who.own_space, name))
        wanted = _RANGE.fullmatch(span)
        if wanted is None:
            left_open = stack.pop_all()
            return StreamingResponse(_pieces(file, left_open), headers=_headers(entry), media_type=_TYPE)
        return _piece(service, file, entry, int(wanted[1]), int(wanted[2] or entry.size))


@router.head(
    "/files/{name:path}",
    response_class=Response,
    responses={200: {"description": "It is there.", "headers": _HEADERS}, **refusals(404)},
)
def describe_file(service: Here, who: Who, name: Name) -> Response:
    """Tells how large a file of the space is and what is in it, by its digest."""
    return Response(headers=_headers(service.ledger.look(who.own_space, name)))


@router.delete("/files/{name:path}", status_code=204, response_description="It is gone.", responses=refusals(404, 507))
def delete_files(service: Here, who: Who, name: Name) -> Response:
    """Deletes a file of the space, or a folder with all that lies below it."""
    service.uploads.delete(who.own_space, name)
    return Response(status_code=204)


@router.get("/jobs/{job}/files", response_model=JobFiles, response_description="All.", responses=refusals(404, 409))
def job_files(service: Here, who: Who, job: JobId) -> JSONResponse:
    """Lists the files that a job has made, once it is done."""
    space = who.own_space
    found = service.store.get(job, owner=who.sees)
    if found.result is None:
        raise JobStateError(f"a {found.state} job has no files yet; ask again when it is done")
    entries = [service.ledger.look(space, space.name_of(path)) for path in files_of(found.result)]
    return JSONResponse({"files": [{"name": each.name, "size": each.size, "sha256": each.sha256} for each in entries]})


def _begun(upload: Upload, offset: int, status: int) -> JSONResponse:
    return JSONResponse({"name": upload.name, "size": upload.size, "sha256": upload.sha256, "offset": offset}, status)


def _piece(service: Service, file: BinaryIO, entry: Entry, first: int, last: int) -> Response:
    if first >= entry.size or last < first:
        said = f"{entry.name} has {entry.size} bytes and none of those; ask for others"
        return problem(416, "NoSuchBytes", said, **{"Content-Range": f"bytes */{entry.size}"})
    file.seek(first)
    piece = file.read(min(last + 1 - first, service.settings.limits.chunk_bytes))
    headers = {
        **_headers(entry),
        "Content-Length": str(len(piece)),
        "Content-Range": f"bytes {first}-{first + len(piece) - 1}/{entry.size}",
        "Content-Digest": digests.written_of(piece),
    }
    return StreamingResponse(_slices(piece), 206, headers, _TYPE)


async def _slices(piece: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(piece), PIECE):
        yield piece[start : start + PIECE]


def _pieces(file: BinaryIO, left_open: ExitStack) -> Iterator[bytes]:
    with left_open:
        while piece := file.read(PIECE):
            yield piece


def _headers(entry: Entry) -> dict[str, str]:
    return {
        "Content-Length": str(entry.size),
        "Accept-Ranges": "bytes",
        "ETag": f'"{entry.sha256}"',
        "Repr-Digest": checksums.written(bytes.fromhex(entry.sha256)),
    }
