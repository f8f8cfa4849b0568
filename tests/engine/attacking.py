"""What attacks on the server share: an app that says what reached it, and the whole application behind its guard."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from guarded import TOKEN, Answer, Caller
from serving import make_service, serving, shot
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import Receive, Scope, Send

from layerflow.server.service import Service
from layerflow.server.settings import Limits
from layerflow.wire.client import Client

LIMITS = Limits(streams=4, body_bytes=200_000)
INSIDE = (
    "Traceback",
    "layerflow.",
    "sqlite3.",
    "SELECT",
    "pydantic",
    "starlette",
    "Exception",
    "Error",
    ".py",
    "/secret",
    TOKEN,
)
FLOOD = 50_000_000  # bytes; more than any system holds for a client


class Echo:
    """An app that says what reached it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        self.asked.append(f"{request.method} {request.url.path}")
        if request.url.path == "/v1/flood":
            answer = PlainTextResponse("x" * FLOOD)
        else:
            answer = JSONResponse({"heard": len(await request.body())})
        await answer(scope, receive, send)


def is_sentence(text: str) -> bool:
    """One sentence with a next step, and nothing of the inside."""
    return "; " in text and "\n" not in text and not any(word in text for word in INSIDE)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Service:
    return make_service(tmp_path_factory.mktemp("faults"), limits=LIMITS)


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[Client]:
    with serving(service) as client:
        yield client


@pytest.fixture
def caller(client: Client, service: Service) -> Caller:
    return Caller(service)


@pytest.fixture(autouse=True)
def nothing_queued_before(client: Client) -> None:
    for job in client.list(state="queued"):
        client.cancel(job.id)


def body(service: Service, **changes: Any) -> bytes:
    """A submission; `changes` are fields of its request."""
    return json.dumps({"request": {**shot(service).to_dict(), **changes}}).encode()


def check_refused(client: Client, answer: Answer, *statuses: int) -> str:
    """Its sentence, which says what to do or what would do. Nothing was queued for it."""
    assert answer.status in statuses, answer.body
    said = answer.message
    assert (
        ("; " in said or " must be " in said)
        and "\n" not in said
        and len(said) <= 1000
        and not any(word in said for word in INSIDE)
    )
    assert not client.list(state="queued")
    return said


def status_of(caller: Caller, target: str) -> int:
    """Of an answer that need not end."""
    with caller.connect() as connection:
        connection.sendall(caller.head("GET", target))
        return int(connection.recv(12)[9:])


def wait_for(holds: Callable[[], bool]) -> None:
    """Returns when it does."""
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)
