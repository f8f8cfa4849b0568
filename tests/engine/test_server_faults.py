"""Attacks on the whole application, byte by byte: the right refusal in one sentence, nothing queued, nothing told."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
import server_process
from guarded import TOKEN, Answer, Caller, is_closed, read_answer
from serving import make_service, serving, shot, work

from layerflow.server.rows import tell
from layerflow.server.service import Service
from layerflow.server.settings import Limits, Settings
from layerflow.wire import errors
from layerflow.wire.client import Client

home = server_process.home
LIMITS = Limits(streams=4, body_bytes=200_000)
INSIDE = ("Traceback", "layerflow.", "sqlite3.", "SELECT", "pydantic", "starlette", "Exception", "/secret", TOKEN)


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


def test_fault_1_a_page_of_another_site_queues_nothing(caller: Caller, client: Client, service: Service) -> None:
    """A form or fetch without asking first: text/plain, the browser's own headers, no token."""
    site = {"origin": "https://evil.com", "sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"}
    for kind in ("text/plain;charset=UTF-8", "application/json"):
        for token in (None, f"Bearer {TOKEN}"):
            answer = caller.ask("POST", "/v1/jobs", body(service), content_type=kind, authorization=token, **site)
            check_refused(client, answer, 403)
    check_refused(client, caller.ask("POST", "/v1/jobs", body(service), content_type="text/plain"), 415)


@pytest.mark.parametrize("target", ["/v1/health", "/v1/jobs", "/v1/events", "/v1/openapi.json", "/metrics", "/"])
def test_fault_2_a_name_that_leads_here_is_told_nothing(caller: Caller, client: Client, target: str) -> None:
    check_refused(client, caller.ask("GET", target, host=f"evil.com:{caller.service.port}"), 403)


def test_faults_3_and_4_a_frame_without_origin_and_a_name_that_begins_like_ours(
    caller: Caller, client: Client, service: Service
) -> None:
    for origin in ("null", f"http://localhost.evil.com:{service.port}", f"http://127.0.0.1:{service.port}.evil.com"):
        check_refused(client, caller.ask("POST", "/v1/jobs", body(service), origin=origin), 403)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_fault_5_no_address_answers_without_the_token(caller: Caller, client: Client, method: str) -> None:
    document = json.loads(caller.ask("GET", "/v1/openapi.json").body)
    paths = {path.format(job="0" * 32, layer="foreground") for path in document["paths"]} - {"/v1/health"}
    assert len(paths) > 10
    for path in paths | {"/v1", "/v1/openapi.json", "/metrics", "/docs", "/openapi.json"}:
        content = b"{}" if method == "POST" else None
        answer = caller.ask(method, f"{path}?token={TOKEN}", content, authorization=None)
        check_refused(client, answer, 401)


def test_fault_5_the_token_is_in_no_answer_and_no_repr(caller: Caller, client: Client, service: Service) -> None:
    client.submit(shot(service))
    for target in ("/v1/openapi.json", "/metrics", "/v1/jobs", "/v1/devices", "/v1/health"):
        assert TOKEN.encode() not in caller.ask("GET", target).body
    assert TOKEN not in repr(service) and TOKEN not in repr(client)


@pytest.mark.parametrize("name", ["plate", "output", "model", "lora"])
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/etc/passwd.%04d.exr", 403),
        ("/proc/self/root/etc/dog.%04d.exr", 403),
        ("{root}/../../etc/dog.%04d.exr", 400),
        ("../../etc/dog.%04d.exr", 400),
        ("\\\\evil.com\\share\\dog.%04d.exr", 400),
        ("\\Windows\\dog.%04d.exr", 400),
        ("{root}/link/dog.%04d.exr", 403),
    ],
)
def test_faults_6_and_7_no_path_leads_out(
    caller: Caller, client: Client, service: Service, name: str, path: str, status: int
) -> None:
    root = service.settings.roots[0]
    link = root / "link"
    if not link.is_symlink():
        link.symlink_to("/etc")
    text = path.format(root=root)
    changes = {"task": "decompose", "plate": f"{root}/a.%04d.exr", "num_frames": None}
    content = body(service, **{**changes, name: [text] if name == "lora" else text})
    check_refused(client, caller.ask("POST", "/v1/jobs", content), status)


@pytest.mark.parametrize(
    "target",
    [
        "/v1/jobs/../../etc/passwd",
        "/v1/jobs/..%2f..%2fetc%2fpasswd/log",
        "/v1/jobs/%2e%2e/log",
        "/v1/jobs/" + "0" * 31 + "%00/log",
        "/v1/jobs/{job}/preview/..%2f..%2f..%2fjobs.sqlite3",
        "/v1/jobs/{job}/preview/%2fetc%2fpasswd",
        "/v1/jobs/{job}/preview/foreground.jpg%00",
        "/page/../../jobs.sqlite3",
        "/page/..%2f..%2fserver.json",
        "/page/%2e%2e/page.js",
        "/page//etc/passwd",
        "/page/..%5c..%5cserver.json",
        "//etc/passwd",
        "/static/../x",
        "http://evil.com/v1/jobs",
    ],
)
def test_fault_6_no_address_is_a_path(caller: Caller, client: Client, service: Service, target: str) -> None:
    job = client.submit(shot(service)).id
    client.cancel(job)
    check_refused(client, caller.ask("GET", target.format(job=job)), 400, 404, 422)


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
        assert stalled.recv(15) == b"HTTP/1.1 200 OK" and _status(caller, "/v1/events") == 429
        with service.store.database.write() as connection:
            for _ in range(20):
                tell(connection, job.id, "warning", 0.0, {"message": "x" * 1_000_000})
        _wait_for(lambda: _status(caller, "/v1/events") == 200)
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
    _wait_for(lambda: _status(caller, "/v1/events") == 200)


def _status(caller: Caller, target: str) -> int:
    with caller.connect() as connection:
        connection.sendall(caller.head("GET", target))
        return int(connection.recv(12)[9:])


def _wait_for(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


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


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest/dog.%04d.exr",
        "https://evil.com/a.%04d.exr",
        "ftp://x/a.%04d.exr",
        "file:///etc/a.%04d.exr",
    ],
)
@pytest.mark.parametrize("name", ["plate", "output", "model", "lora"])
def test_fault_25_nothing_is_fetched(
    caller: Caller, client: Client, service: Service, name: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = service.settings.roots[0]
    changes = {"task": "decompose", "plate": f"{root}/a.%04d.exr", "num_frames": None}
    content = body(service, **{**changes, name: [address] if name == "lora" else address})
    check_refused(client, caller.ask("POST", "/v1/jobs", content), 400, 422)


def test_fault_26_a_damaged_queue_is_one_sentence(tmp_path: Path) -> None:
    service = make_service(tmp_path)
    with sqlite3.connect(service.folder.queue) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with service.folder.queue.open("r+b") as file:
        file.write(b"no SQLite" * 1000)
    with serving(service):
        for target in ("/v1/jobs", "/v1/jobs/" + "0" * 32):
            answer = Caller(service).ask("GET", target)
            assert (answer.status, answer.kind) == (503, "StoreError")
            assert "; move it away" in answer.message and "malformed" not in answer.message


def test_fault_26_what_nobody_foresaw_tells_nothing(
    caller: Caller, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("/secret/path is gone")

    monkeypatch.setattr(service.store, "page", fail)
    answer = caller.ask("GET", "/v1/jobs")
    assert answer.status == 500 and answer.message.count("; ") == 1 and b"secret" not in answer.body


def test_fault_30_nobody_else_is_let_in_unless_asked() -> None:
    assert Settings().host == "127.0.0.1" and not Settings().names and not Settings().roots


def test_fault_30_only_this_machine_can_reach_it(home: Path) -> None:
    with server_process.serving() as served:
        connections = psutil.Process(served.process.pid).net_connections("inet")
        listening = {each.laddr.ip for each in connections if each.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}


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
