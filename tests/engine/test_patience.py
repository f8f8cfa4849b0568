"""Clients that trickle, fall silent or do not read, over real sockets: nobody waits for them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from attacking import FLOOD, Echo, is_sentence
from guarded import Caller, is_closed, make_service, read_answer, serving

from layerflow.server.guard import Guard
from layerflow.server.settings import Limits

HASTY = Limits(patience_s=0.3, connections=8)
BODY = b'{"label": "x"}'


@pytest.fixture(scope="module")
def app() -> Echo:
    return Echo()


@pytest.fixture(scope="module")
def hasty(app: Echo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """Asks a server that waits for nobody."""
    service = make_service(tmp_path_factory.mktemp("hasty"), limits=HASTY)
    with serving(Guard(app, service), service):
        yield Caller(service)


@pytest.fixture(autouse=True)
def forget(app: Echo) -> None:
    app.asked.clear()


def test_fault_15_a_head_that_never_ends(hasty: Caller, app: Echo) -> None:
    """A byte every now and then does not prolong it."""
    head = hasty.head("GET", "/v1/jobs")[:-2]
    started = time.monotonic()
    with hasty.connect() as connection:
        connection.sendall(head)
        connection.settimeout(0.05)
        answer = None
        while answer is None and time.monotonic() < started + 30:
            connection.sendall(b"x")
            try:
                answer = read_answer(connection)
            except TimeoutError:
                continue
    assert answer is not None and (answer.status, answer.kind) == (408, "TooSlow") and is_sentence(answer.message)
    assert not app.asked


def test_fault_15_a_body_that_never_ends(hasty: Caller, app: Echo) -> None:
    for method in ("POST", "GET"):
        answer = hasty.raw(hasty.head(method, "/v1/jobs", BODY) + BODY[:-1])
        assert answer is not None and (answer.status, answer.kind) == (408, "TooSlow") and is_sentence(answer.message)
    assert not app.asked


CHUNK_HEAD = {"content_type": "application/offset+octet-stream"}


def test_a_chunk_of_a_file_may_take_longer(hasty: Caller, app: Echo) -> None:
    with hasty.connect() as connection:
        connection.sendall(hasty.head("PATCH", "/v1/files/a", BODY, **CHUNK_HEAD) + BODY[:1])
        time.sleep(4 * HASTY.patience_s)  # after which any other body is given up, and its connection with it
        connection.sendall(BODY[1:])
        answer = read_answer(connection)
    assert answer is not None and json.loads(answer.body) == {"heard": len(BODY)}


def test_fault_15_nobody_waits_for_a_chunk_from_a_stranger(hasty: Caller, app: Echo) -> None:
    with hasty.connect() as connection:
        connection.sendall(hasty.head("PATCH", "/v1/files/a", BODY, **CHUNK_HEAD, authorization=None) + BODY[:1])
        answer = read_answer(connection)
        assert answer is not None and answer.status == 401
        connection.settimeout(HASTY.chunk_patience_s / 2)
        assert is_closed(connection) and not app.asked


def test_fault_15_a_silent_connection_is_closed(hasty: Caller) -> None:
    with hasty.connect() as connection:
        assert is_closed(connection)


def test_fault_15_so_is_one_that_is_silent_after_an_answer(hasty: Caller) -> None:
    with hasty.connect() as connection:
        connection.sendall(hasty.head("GET", "/v1/jobs"))
        assert read_answer(connection) and is_closed(connection)


def test_fault_15_a_refused_body_is_waited_for_but_not_for_ever(hasty: Caller) -> None:
    with hasty.connect() as connection:
        connection.sendall(hasty.head("POST", "/v1/jobs", BODY, authorization=None))
        assert read_answer(connection) and is_closed(connection)


def test_fault_15_a_client_that_goes_away_in_the_middle_asked_for_nothing(hasty: Caller, app: Echo) -> None:
    with hasty.connect() as connection:
        connection.sendall(hasty.head("POST", "/v1/jobs", BODY) + BODY[:-1])
    assert hasty.ask("GET", "/v1/jobs").status == 200 and app.asked == ["GET /v1/jobs"]


def test_fault_15_an_answer_that_nobody_takes_is_let_go(hasty: Caller) -> None:
    with hasty.connect() as connection:
        connection.sendall(hasty.head("GET", "/v1/flood"))
        time.sleep(6 * HASTY.patience_s)
        taken = 0
        while piece := _piece(connection):
            taken += len(piece)
    assert taken < FLOOD


def _piece(connection) -> bytes:
    try:
        return connection.recv(1 << 20)
    except ConnectionResetError:
        return b""


def test_fault_15_connections_that_say_nothing_keep_nobody_out(hasty: Caller) -> None:
    silent = [hasty.connect() for _ in range(4 * HASTY.connections)]
    try:
        assert all(hasty.ask("GET", "/v1/health").status == 200 for _ in range(5))
    finally:
        for connection in silent:
            connection.close()


def test_two_requests_on_one_connection(hasty: Caller, app: Echo) -> None:
    head = hasty.head("GET", "/v1/jobs")
    with hasty.connect() as connection:
        for _ in range(2):
            connection.sendall(head)
            answer = read_answer(connection)
            assert answer is not None and answer.status == 200
    assert len(app.asked) == 2


def test_fault_14_a_body_byte_by_byte_is_one_body(hasty: Caller) -> None:
    body = b'{"a":1}'
    pieces = [bytes([byte]) for byte in body]
    answer = hasty.raw(hasty.head("POST", "/v1/jobs", body), *pieces)
    assert answer is not None and json.loads(answer.body) == {"heard": len(body)}
