"""The form that a request has to have, whoever asks: its head, and what it declares its body to be."""

from __future__ import annotations

from collections import Counter

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from layerflow.server.problems import problem

CHUNK = "application/offset+octet-stream"  # what PATCH sends

MAX_HEAD_BYTES = 16384  # target and headers
MAX_HEADERS = 64

SAID_ONCE = (
    "host",
    "origin",
    "authorization",
    "content-length",
    "content-type",
    "content-digest",
    "upload-offset",
    "range",
    "idempotency-key",
    "last-event-id",
)


class RefusalError(Exception):
    """Ends a request with `answer`."""

    def __init__(self, answer: Response) -> None:
        super().__init__(answer.status_code)
        self.answer = answer


def refusal(status: int, kind: str, message: str, **headers: str) -> RefusalError:
    """What to raise to say no."""
    return RefusalError(problem(status, kind, message, **headers))


def check_head(scope: Scope, headers: Headers) -> None:
    """A head is short, and says nothing twice that counts."""
    size = sum(len(name) + len(value) for name, value in headers.raw)
    size += len(scope.get("raw_path") or b"") + len(scope["query_string"])
    if size > MAX_HEAD_BYTES or len(headers.raw) > MAX_HEADERS:
        raise refusal(400, "BadRequest", f"address and headers may have {MAX_HEAD_BYTES} bytes; send less")
    counts = Counter(headers.keys())
    for name in SAID_ONCE:
        if counts[name] > 1:
            raise refusal(400, "BadRequest", f"the header {name} is there more than once; send it once")


def check_form(headers: Headers) -> None:
    """JSON as it is; what a page may post without asking first is text or a form."""
    kind, _, parameters = headers.get("content-type", "").lower().partition(";")
    is_json = kind.strip() == "application/json" and parameters.replace(" ", "") in ("", "charset=utf-8")
    if not (is_json and _is_plain(headers)):
        raise refusal(415, "NotJson", "a request has to be plain JSON; send it with Content-Type: application/json")


def check_chunk(headers: Headers) -> None:
    """The bytes of a file as they are, under a type that no page may send without asking first."""
    if headers.get("content-type", "").lower() != CHUNK or not _is_plain(headers):
        raise refusal(415, "NotAChunk", f"a chunk has to be plain bytes; send it with Content-Type: {CHUNK}")


def _is_plain(headers: Headers) -> bool:
    return headers.get("content-encoding", "identity").lower() == "identity"
