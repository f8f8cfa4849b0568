"""The page for people, and its files: the same for everybody, so that nobody has to show a token to get them."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request, Response

from layerflow.server.problems import problem
from layerflow.server.routes import tagged

_KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, kw_only=True)
class _File:
    """One file of the page, as it is sent."""

    body: bytes
    kind: str
    etag: str

    def answer(self, request: Request) -> Response:
        """The file, or that the browser has it already; it is to ask each time."""
        known = request.headers.get("If-None-Match", "")
        return tagged(self.body, self.kind, self.etag, known=known, **{"Cache-Control": "no-cache"})


@functools.cache
def _files() -> dict[str, _File]:
    """The files by name. Nothing but them can be asked for, whatever a path says."""
    return {path.name: _read(path) for path in (Path(__file__).parents[1] / "page").iterdir() if path.suffix in _KINDS}


def _read(path: Path) -> _File:
    body = path.read_bytes()
    return _File(body=body, kind=_KINDS[path.suffix], etag=f'"{hashlib.sha256(body).hexdigest()[:32]}"')


@router.get("/")
async def page(request: Request) -> Response:
    """The page that lists jobs and their layers."""
    return _files()["index.html"].answer(request)


@router.get("/page/{name}")
async def file(name: str, request: Request) -> Response:
    """A file that the page loads."""
    found = _files().get(name)
    if found is None:
        return problem(404, "NotFound", "the page has no such file; open / anew")
    return found.answer(request)
