"""Attacks on the whole application, byte by byte: the right refusal in one sentence, nothing queued, nothing told."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import attacking
import psutil
import pytest
import server_process
from attacking import body, check_refused
from guarded import TOKEN, Caller
from serving import make_service, serving, shot

from layerflow.server.service import Service
from layerflow.server.settings import Settings
from layerflow.wire.client import Client

service, client, caller = attacking.service, attacking.client, attacking.caller
nothing_queued_before = attacking.nothing_queued_before
home = server_process.home


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


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_fault_5_no_address_answers_without_the_token(caller: Caller, client: Client, method: str) -> None:
    document = json.loads(caller.ask("GET", "/v1/openapi.json").body)
    values = {"job": "0" * 32, "layer": "foreground", "name": "posix-ws7/a"}
    paths = {path.format(**values) for path in document["paths"]} - {"/v1/health"}
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
def test_fault_25_nothing_is_fetched(caller: Caller, client: Client, service: Service, name: str, address: str) -> None:
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
