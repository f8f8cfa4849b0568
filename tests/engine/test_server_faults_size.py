"""The whole application asked for too much, too slowly or by too many; and prompts of every kind."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attacking
import pytest
from attacking import LIMITS, body, check_refused, status_of, wait_for
from guarded import Caller, is_closed, read_answer
from serving import make_service, serving, shot, work

from layerflow.server.rows import tell
from layerflow.server.service import Service
from layerflow.server.settings import Limits
from layerflow.wire import errors
from layerflow.wire.client import Client

service, client, caller = attacking.service, attacking.client, attacking.caller
nothing_queued_before = attacking.nothing_queued_before
DEEP = 50_000


@pytest.mark.parametrize(
    "content",
    [
        b"[" * DEEP,
        b"[" * DEEP + b"]" * DEEP,
        b'{"request":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"request": ' + b"9" * 100_000 + b"}",
        b'{"request": {"task": "' + b"x" * 100_000 + b'"}}',
        b'{"request": {"' + b"x" * 100_000 + b'": 1}}',
        b'{"' + b"x" * 100_000 + b'": 1}',
        b'{"label": "' + b"x" * 100_000 + b'"}',
        b'{"request": {"task": "generate", "steps": 1e999}}',
        b'{"request": {"task": "generate", "guidance": NaN, "foreground": "a", "background": "b"}}',
        b'{"request": {"task": "generate", "seed": 1' + b"0" * 4000 + b', "foreground": "a", "background": "b"}}',
        b'{"request": {"task": "generate", "seed": 1' + b"0" * 5000 + b', "foreground": "a", "background": "b"}}',
        b'{"request": {"task": ["generate"]}}',
        b'{"request": {"task": {"a": ' + b"[" * 500 + b"]" * 500 + b"}}}",
        b'{"request": {"task": "decompose", "plate": "a\\u0000b"}}',
        b'{"request": {"task": "decompose", "plate": "a\\ud800b"}}',
        b'{"request": {"task": "decompose", "plate": "' + b"a/" * 40_000 + b'"}}',
        b'{"request": null}',
        b"null",
        b"[]",
        b'"x"',
        b"\xff\xfe{\x00}\x00",
        b"\x00" * 100,
        b"{}{}",
        b"",
    ],
    ids=lambda content: content[:40].decode("latin-1"),
)
def test_fault_14_what_no_parser_likes(caller: Caller, client: Client, content: bytes) -> None:
    answer = caller.ask("POST", "/v1/jobs", content)
    check_refused(client, answer, 400, 422)
    assert len(answer.body) < 8000


@pytest.mark.parametrize(
    "changes",
    [
        {"width": 16384, "height": 16384},
        {"num_frames": 10**9},
        {"output": f"/dog.%{'0' * 5000}4d.exr"},
        {"num_frames": None, "first_frame": 0, "last_frame": 10**11},
        {"foreground": "x" * 10_001},
        {"blended": "犬" * 10_001},
        {"lora": ["/a.safetensors"] * 1000},
        {"steps": 10**6},
        {"seed": -1},
        {"seed": 2**64},
        {"guidance": -1},
    ],
    ids=str,
)
def test_fault_14_more_than_any_job_may_have(
    caller: Caller, client: Client, service: Service, changes: dict[str, Any]
) -> None:
    check_refused(client, caller.ask("POST", "/v1/jobs", body(service, **changes)), 400, 422)


def test_fault_14_a_body_too_large_for_us(caller: Caller, client: Client) -> None:
    check_refused(client, caller.ask("POST", "/v1/jobs", b"x" * (LIMITS.body_bytes + 1)), 413)


@pytest.mark.parametrize(
    "query", ["limit=" + "9" * 5000, "limit=-1", "limit=1e3", "state=x", "after=../x", "label=" + "x" * 5000]
)
def test_fault_14_questions_beyond_reason(caller: Caller, client: Client, query: str) -> None:
    check_refused(client, caller.ask("GET", f"/v1/jobs?{query}"), 400, 422)


def test_fault_15_a_stream_that_nobody_reads_is_let_go_and_the_job_goes_on(tmp_path: Path) -> None:
    """More is told than the system holds for a reader that stopped."""
    service = make_service(tmp_path, limits=Limits(patience_s=0.3, streams=1))
    with serving(service) as client, Caller(service).connect() as stalled:
        caller = Caller(service)
        job = client.submit(shot(service))
        stalled.sendall(caller.head("GET", "/v1/events"))
        assert stalled.recv(15) == b"HTTP/1.1 200 OK" and status_of(caller, "/v1/events") == 429
        with service.store.database.write() as connection:
            for _ in range(20):
                tell(connection, job.id, "warning", 0.0, {"message": "x" * 1_000_000})
        wait_for(lambda: status_of(caller, "/v1/events") == 200)
        work(service).join()
        assert client.get(job.id).state == "done"


def test_fault_15_streams_are_counted(caller: Caller, client: Client) -> None:
    open_ = []
    try:
        for _ in range(LIMITS.streams):
            connection = caller.connect()
            connection.sendall(caller.head("GET", "/v1/events"))
            assert connection.recv(15) == b"HTTP/1.1 200 OK"
            open_.append(connection)
        check_refused(client, caller.ask("GET", "/v1/events"), 429)
    finally:
        for connection in open_:
            connection.close()
    wait_for(lambda: status_of(caller, "/v1/events") == 200)


def test_a_client_that_asks_first_whether_to_send_its_body(caller: Caller, client: Client, service: Service) -> None:
    content = body(service)
    with caller.connect() as connection:
        connection.sendall(caller.head("POST", "/v1/jobs", content, expect="100-continue"))
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(content)
        answer = read_answer(connection)
    assert answer is not None and answer.status == 201
    refused = caller.raw(caller.head("POST", "/v1/jobs", content, expect="100-continue", authorization="Bearer x"))
    assert refused is not None and refused.status == 401


def test_fault_15_half_a_request_queues_nothing(caller: Caller, client: Client, service: Service) -> None:
    content = body(service)
    with caller.connect() as connection:
        connection.sendall(caller.head("POST", "/v1/jobs", content) + content[:-1])
        connection.shutdown(1)
        assert is_closed(connection)
    assert not client.list(state="queued")


def test_fault_20_a_flood_is_bounded_and_one_wish_is_one_job(tmp_path: Path) -> None:
    service = make_service(tmp_path)
    service.store.max_waiting = 20
    with serving(service) as client:

        def press(number: int) -> str:
            try:
                return client.submit(shot(service, f"dog{number % 30}"), key=f"press-{number % 30}").id
            except errors.Busy as error:
                assert error.status == 429 and "; try again later" in str(error)
                return "full"

        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(press, range(90)))
        jobs = [job.id for job in client.list()]
    assert len(jobs) == len(set(jobs)) == 20 and set(answers) == {*jobs, "full"}


@pytest.mark.parametrize(
    "prompt",
    [
        "$(touch /tmp/x); `id` && rm -rf ~ | sh",
        "'; DROP TABLE job; --",
        "<script>alert(1)</script>",
        "كلب 犬 🐕",
        "a\nb\tc",
    ],
)
def test_fault_21_a_prompt_is_kept_to_the_letter(client: Client, service: Service, prompt: str) -> None:
    job = client.submit(shot(service, foreground=prompt), label=prompt.split("\n")[0])
    assert client.get(job.id).request.foreground == prompt and client.list(label=job.label) == [job]


@pytest.mark.parametrize("prompt", ["a\x00b", "a\x1bb", "a\ud800", "\x7f"])
def test_fault_21_a_control_character_is_pointed_at(
    caller: Caller, client: Client, service: Service, prompt: str
) -> None:
    said = check_refused(client, caller.ask("POST", "/v1/jobs", body(service, foreground=prompt)), 400, 422)
    assert "U+" in said or "surrogate" in said


def test_what_many_do_at_once_keeps_nobody_waiting(caller: Caller, client: Client) -> None:
    """Half of them never say what they want."""
    silent = [caller.connect() for _ in range(60)]
    threads = [threading.Thread(target=lambda: caller.ask("GET", "/v1/jobs")) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.list() is not None
    for connection in silent:
        connection.close()
