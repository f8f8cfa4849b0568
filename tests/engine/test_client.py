"""The client against a stand-in server: what it makes of faults, and that nothing is done twice."""

from __future__ import annotations

import http.client as http_client
import json
import socket
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_server import standing_in

from layerflow.wire import Request, errors, following, transport
from layerflow.wire import client as client_module
from layerflow.wire.client import Client
from layerflow.wire.running import RunningServer, publish

REQUEST = Request("decompose", plate="/plates/dog.####.exr", output="/out/dog.%04d.exr", foreground="a dog, ‘brown’ 犬")
NO_JOB = "0" * 32


@pytest.fixture(autouse=True)
def no_long_pauses(monkeypatch):
    monkeypatch.setattr(client_module, "_PAUSES_S", (0.0, 0.0))
    monkeypatch.setattr(following, "_FIRST_PAUSE_S", 0.001)


@pytest.fixture
def server():
    with standing_in() as server:
        yield server


@pytest.fixture
def client(server):
    return Client(server.address)


def http(status, body=b"", *headers):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def refusal(status, message="no; try less", kind="RequestError", *headers):
    return http(status, json.dumps({"error": {"kind": kind, "message": message}}).encode(), *headers)


def finish(server, job, state="done", steps=20):
    """Works on `job` in the background."""

    def work():
        server.go(job, "running")
        for done in range(1, steps + 1):
            server.step(job, done, steps)
        server.go(job, state, result={"frames": []} if state == "done" else None)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


@pytest.mark.parametrize("method", ["get", "cancel", "retry", "pause", "resume", "move", "log", "wait"])
@pytest.mark.parametrize("job", ["", "../jobs", "x?y", "A" * 32])
def test_an_id_can_be_no_other_address(server, client, method, job):
    with pytest.raises(ValueError, match="32 hex digits"):
        getattr(client, method)(job)
    assert not server.asked


def test_pages_that_lead_in_a_circle_end(server, client):
    page = {"jobs": [server.add(REQUEST).to_dict()], "next": "x"}
    server.lost.extend([http(200, json.dumps(page).encode())] * 50)
    assert len(client.list()) == 1 and len(server.asked) == 2


def test_a_lost_answer_never_doubles_a_job(server, client):
    server.lost.extend([b"", b"HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n{"])
    job = client.submit(REQUEST)
    assert len(server.asked) == 3 and list(server.jobs) == [job.id]


def test_a_key_of_ones_own_gives_the_same_job(client):
    assert client.submit(REQUEST, key="take 7") == client.submit(REQUEST, key="take 7")
    assert client.submit(REQUEST).id != client.submit(REQUEST).id


def test_what_may_have_happened_is_not_asked_again(server, client):
    job = client.submit(REQUEST)
    server.lost.append(b"")
    with pytest.raises(errors.ConnectionLost, match="layerflow jobs list"):
        client.cancel(job.id)
    assert client.get(job.id).state == "cancelled"
    assert [target for method, target, _ in server.asked if method == "POST"].count(f"/v1/jobs/{job.id}/cancel") == 1


@pytest.mark.parametrize(
    ("answer", "kind", "sentence"),
    [
        (refusal("403 Forbidden"), errors.Refused, "no; try less"),
        (refusal("409 Conflict"), errors.Conflict, "no; try less"),
        (refusal("413 Too Large", "line\nbreak\x1b[31m"), errors.Refused, r"line break \[31m"),
        (refusal("422 Unprocessable"), errors.Refused, "no; try less"),
        (refusal("429 Too Many", "full; wait", "Busy", "Retry-After: 7"), errors.Busy, "full; wait"),
        (refusal("503 Unavailable"), errors.Busy, "no; try less"),
        (http("413 Too Large", b"<html>"), errors.Refused, "413 Too Large"),
        (http("400 Bad", b'{"error": "text"}'), errors.Refused, "400 Bad"),
        (http("500 Internal", b"Traceback"), errors.BadAnswer, "failed .500 Internal."),
        (http("302 Found", b"", "Location: http://127.0.0.1:1/"), errors.BadAnswer, "not a LayerFlow server"),
        (http(200, b"<html>"), errors.BadAnswer, "not a LayerFlow server"),
        (http(200, b"[]"), errors.BadAnswer, "not a LayerFlow server"),
        (http(200, b"[" * 100000), errors.BadAnswer, "not a LayerFlow server"),
        (http(200, b"\xff"), errors.BadAnswer, "not a LayerFlow server"),
        (http(200, b'{"id": 5}'), errors.BadAnswer, "makes no sense"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", errors.BadAnswer, "not a LayerFlow server"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 500, errors.BadAnswer, "not a LayerFlow server"),
    ],
)
def test_bad_answers(server, client, answer, kind, sentence):
    server.deaf.append(answer)
    with pytest.raises(kind, match=sentence) as raised:
        client.get(NO_JOB)
    assert type(raised.value) is kind and "\n" not in str(raised.value) and len(server.asked) == 1
    assert getattr(raised.value, "retry_after_s", None) == (7.0 if b"Retry-After" in answer else None)


def outside(**changes):
    told = {"kind": "OutsideError", "message": "no; move it", "path": "/mnt/a.exr", "roots": ["/home/me"], **changes}
    return http(403, json.dumps({"error": told}).encode())


def test_a_path_that_no_job_may_use_is_told_with_those_that_may(server, client):
    server.deaf.append(outside())
    with pytest.raises(errors.Outside, match="no; move it") as refusal:
        client.submit(REQUEST)
    assert (refusal.value.path, refusal.value.roots, refusal.value.status) == ("/mnt/a.exr", ("/home/me",), 403)


@pytest.mark.parametrize("changes", [{"path": None}, {"roots": "/home"}, {"kind": "Forbidden"}])
def test_any_other_403_is_a_refusal(server, client, changes):
    server.deaf.append(outside(**changes))
    with pytest.raises(errors.Refused) as refusal:
        client.submit(REQUEST)
    assert not isinstance(refusal.value, errors.Outside)


@pytest.mark.parametrize("values", [{}, {"jobs": 5}, {"jobs": [5]}, {"jobs": [{}]}])
def test_a_list_that_makes_no_sense(server, client, values):
    server.deaf.append(http(200, json.dumps(values).encode()))
    with pytest.raises(errors.BadAnswer):
        client.list()


def test_an_answer_without_end_is_not_kept(server, client, monkeypatch):
    monkeypatch.setattr(transport, "MAX_ANSWER", 1000)
    server.deaf.append(http(200, b'{"models": []}' + b" " * 5000))
    with pytest.raises(errors.BadAnswer):
        client.models()


def test_a_body_that_is_refused_unread_is_a_refusal_all_the_same():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse():
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(refusal("413 Too Large"))

        thread = threading.Thread(target=refuse)
        thread.start()
        here = RunningServer(f"http://127.0.0.1:{listener.getsockname()[1]}", "t", 1, 1)
        with pytest.raises(errors.Refused, match="try less"):
            Client(here).submit(Request("decompose", plate="x", foreground="x" * 2_000_000))
        thread.join()


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"])
def test_a_slow_answer_times_out(said):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        here = RunningServer(f"http://127.0.0.1:{listener.getsockname()[1]}", "t", 1, 1)
        kept = []

        def answer():
            connection, _ = listener.accept()
            connection.sendall(said)
            kept.append(connection)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(errors.TimedOut, match="too long"):
            Client(here, timeout_s=0.2).get(NO_JOB)
        thread.join()
        kept[0].close()


def test_an_answer_that_drips_has_one_deadline_for_all_of_it():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        here = RunningServer(f"http://127.0.0.1:{listener.getsockname()[1]}", "t", 1, 1)
        over = threading.Event()

        def drip():
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                while not over.wait(0.02):
                    connection.sendall(b" ")

        thread = threading.Thread(target=drip)
        thread.start()
        with pytest.raises(errors.TimedOut):
            Client(here, timeout_s=0.3).get(NO_JOB)
        over.set()
        thread.join()


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(errors.NotRunning, match=f"127.0.0.1:{port}; start it with layerflow serve"):
        Client(RunningServer(f"http://127.0.0.1:{port}", "t", 1, 1)).list()


def test_a_wrong_token_is_refused_and_never_shown(server):
    client = Client(RunningServer(server.address.url, "wr0ng", 1, 1))
    with pytest.raises(errors.Unauthorised) as refused:
        client.list()
    assert refused.value.status == 401 and "wr0ng" not in f"{refused.value} {client!r}"


def test_the_token_is_in_its_header_only(server, client):
    job = client.submit(REQUEST, label="x")
    client.list(label="x")
    server.go(job, "done")
    list(client.events(job.id))
    for _, target, headers in server.asked:
        assert headers.pop("Authorization") == "Bearer s3cret"
        assert "s3cret" not in target + str(headers)


def test_no_proxy_is_asked(server, client, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert client.list() == []


def test_a_server_that_came_back_elsewhere_is_found_again(server):
    with standing_in(token="another") as fresh:
        client = Client(RunningServer("http://127.0.0.1:1", "old", 1, 1), find_again=lambda: fresh.address)
        job = client.submit(REQUEST)
        assert list(fresh.jobs) == [job.id] and not server.jobs
        renamed = Client(RunningServer(fresh.address.url, "old", 1, 1), find_again=lambda: fresh.address)
        assert renamed.cancel(job.id).state == "cancelled"
        watching = Client(RunningServer(fresh.address.url, "old", 1, 1), find_again=lambda: fresh.address)
        assert watching.wait(job.id, timeout_s=60).state == "cancelled"


def test_the_example_of_the_documentation(server, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("LAYERFLOW_RUNTIME", str(tmp_path))
    publish(server.address)
    server.on_job = lambda job: finish(server, job, steps=2)
    text = (Path(__file__).parents[2] / "docs" / "wire.md").read_text(encoding="utf-8")
    exec(text.split("```python\n")[1].split("```")[0], {})
    assert capsys.readouterr().out.split("\n")[:-1] == ["1 of 2", "2 of 2", "done  {'frames': []}"]


# Streams


def test_a_stream_ends_with_the_final_state(server, client):
    job = client.submit(REQUEST)
    other = client.submit(REQUEST)
    thread = finish(server, job, "failed", steps=3)
    events = list(client.events(job.id, timeout_s=60))
    thread.join()
    assert [event.kind for event in events] == ["state", "state", "progress", "progress", "progress", "state"]
    assert {event.job for event in events} == {job.id} != {other.id}
    assert events[-1].data["state"] == "failed"
    assert list(client.events(job.id, after=events[-1].id, timeout_s=60)) == []
    assert list(client.events(job.id, after=events[-2].id, timeout_s=60)) == events[-1:]


@settings(max_examples=25)
@given(st.lists(st.integers(0, 3000), max_size=6), st.integers(1, 12))
def test_a_stream_that_breaks_anywhere_brings_every_event_once(cuts, steps):
    with standing_in() as server:
        server.cuts.extend(cuts)
        client = Client(server.address)
        job = server.add(REQUEST)
        thread = finish(server, job, steps=steps)
        events = list(client.events(job.id, timeout_s=60))
        thread.join()
        assert events == server.events


def test_a_server_that_tells_everything_again_is_heard_once(server, client):
    server.repeats = True
    server.cuts.extend([1500, 2500, 3500])
    job = server.add(REQUEST)
    finish(server, job).join()
    assert list(client.events(job.id, timeout_s=60)) == server.events


def test_a_stream_that_ends_early_is_not_the_end(server, client):
    job = client.submit(REQUEST)
    said = f"data: {json.dumps(server.events[0].to_dict())}\n\n".encode()
    server.go(job, "done")
    server.deaf.append(http(200, said))
    assert [event.data["state"] for event in client.events(job.id, timeout_s=60)] == ["queued", "done"]


def test_time_is_up_though_the_heart_beats(server, client):
    job = client.submit(REQUEST)
    with pytest.raises(errors.TimedOut, match="goes on in the queue"):
        client.wait(job.id, timeout_s=0.3)
    assert len([1 for _, target, _ in server.asked if target.endswith("/events")]) == 1


@pytest.mark.parametrize("away", [False, True], ids=["of a server that is silent", "of a server that is away"])
def test_another_thread_ends_a_stream_at_once(server, client, away):
    server.heartbeat_s = 30.0
    job = client.submit(REQUEST)
    if away:
        server.deaf.extend([b""] * 10000)
    stream, heard = client.follow(job.id), []
    thread = threading.Thread(target=lambda: heard.extend(stream.events()))
    thread.start()
    time.sleep(0.3)
    stream.stop()
    thread.join(10)
    assert not thread.is_alive() and [event.kind for event in heard] == ([] if away else ["state"])
    assert list(stream.events()) == []


@pytest.mark.parametrize("late", [False, True], ids=["before it connects", "once it has connected"])
def test_a_stop_while_a_stream_connects_is_heard(server, client, monkeypatch, late):
    server.heartbeat_s = 30.0
    job = client.submit(REQUEST)
    stream = client.follow(job.id)
    connect = http_client.HTTPConnection.connect

    def connect_and_stop(connection):
        if late:
            connect(connection)
        stream.stop()
        if not late:
            connect(connection)

    monkeypatch.setattr(http_client.HTTPConnection, "connect", connect_and_stop)
    assert list(stream.events()) == []


def test_what_came_with_the_event_that_ends_a_stream_is_not_told(server, client):
    job = client.submit(REQUEST)
    told = [json.dumps({**server.events[0].to_dict(), "id": number}) for number in (1, 2, 3)]
    server.deaf.append(http(200, "".join(f"data: {text}\n\n" for text in told).encode()))
    stream, heard = client.follow(job.id, after=0), []
    for event in stream.events():
        heard.append(event.id)
        stream.stop()
    assert heard == [1]


def test_a_silent_stream_is_connected_again(server, client, monkeypatch):
    monkeypatch.setattr(following, "SILENCE_S", 0.2)
    server.heartbeat_s = 30.0
    with pytest.raises(errors.TimedOut):
        list(client.events(timeout_s=1.0))
    assert len(server.asked) > 1


def test_a_server_that_stays_away_is_given_up(server, client, monkeypatch):
    monkeypatch.setattr(following, "PATIENCE_S", 0.2)
    server.deaf.extend([b""] * 10000)
    with pytest.raises(errors.ConnectionLost):
        list(client.events())
    assert len(server.asked) > 2


def test_pauses_grow(server, client, monkeypatch):
    pauses = []
    monkeypatch.setattr(following, "_FIRST_PAUSE_S", 0.1)
    server.deaf.extend([b""] * 8)
    server.go(server.add(REQUEST), "done")
    stream = client.follow()
    monkeypatch.setattr(stream._stopped, "wait", pauses.append)
    next(stream.events())
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (refusal("404 Not Found"), errors.NotFound),
        (refusal("401 Unauthorized"), ["queued", "done"]),  # of a server that came anew
        (refusal("503 Unavailable"), ["queued", "done"]),
        (http(200, b"data: {\n\n"), errors.BadAnswer),
        (http(200, b"data: 5\n\n"), errors.BadAnswer),
        (http(200, b'data: {"kind": "state"}\n\n'), errors.BadAnswer),
        (http(200, b'data: {"kind": "of a newer server"}\n\n'), []),
        (http("500 Internal"), errors.BadAnswer),
        (http("204 No Content"), []),
    ],
)
def test_streams_that_begin_badly(server, client, answer, outcome):
    job = server.go(client.submit(REQUEST), "done")
    server.deaf.append(answer)
    if isinstance(outcome, type):
        with pytest.raises(outcome):
            list(client.events(job.id, timeout_s=60))
    else:
        assert [event.data["state"] for event in client.events(job.id, timeout_s=60)] == outcome


def test_a_token_that_stays_wrong_ends_a_stream(server):
    client = Client(RunningServer(server.address.url, "wrong", 1, 1))
    with pytest.raises(errors.Unauthorised):
        list(client.events(timeout_s=60))
    assert len(server.asked) == 2


def test_nothing_stays_open(server, client):
    job = server.go(client.submit(REQUEST), "done")
    for _ in range(5):
        client.wait(job.id)
        with closing(client.events()) as events:
            next(events)
    deadline = time.monotonic() + 30
    while any("process_request" in thread.name for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
