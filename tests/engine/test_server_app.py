"""The API over a real socket, by the hosts' own client: what is asked, what is told, and what is refused in words."""

from __future__ import annotations

import json
import threading
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from queueing import generate, submit, worker
from serving import SURVEY, TOKEN, make_service, serving

from layerflow.server.leases import claim
from layerflow.server.survey import SurveyError
from layerflow.wire import Progress, errors

NO_JOB = "0" * 32
LONG_S = 60.0


@pytest.fixture
def service(tmp_path):
    return make_service(tmp_path)


@pytest.fixture
def server(service):
    with serving(service) as server:
        yield server


@pytest.fixture
def client(server):
    return server.client


def ask(server, method, path, body=None, **headers):
    """Status, headers and body of the answer; `headers` with a _ for each -."""
    connection = HTTPConnection(urlsplit(server.address.url).netloc, timeout=LONG_S)
    told = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    told |= {name.replace("_", "-"): value for name, value in headers.items()}
    with closing(connection):
        connection.request(method, path, body if body is None or isinstance(body, bytes) else json.dumps(body), told)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()


def work(service, steps=3):
    """Takes up the next job and makes it, in the background."""

    def make():
        lease = claim(service.store, "w")
        for done in range(1, steps + 1):
            lease.progress(Progress("Sampling", done, steps))
        lease.frame("dog.0001.exr", Progress("Writing", 1, 1, 1, 1))
        lease.warning("the prompt was cut")
        lease.done({"frames": ["dog.0001.exr"]})

    worker(service.store)
    thread = threading.Thread(target=make)
    thread.start()
    return thread


def test_a_job_from_submit_to_result(service, client):
    job = client.submit(generate(), label="nuke:shot.nk/LayerFlow1", overwrite=True)
    assert (job.state, job.request, job.label, job.overwrite) == (
        "queued",
        generate(),
        "nuke:shot.nk/LayerFlow1",
        True,
    )
    assert client.get(job.id) == job == service.store.get(job.id) and client.list() == [job]
    thread = work(service)
    over = client.wait(job.id, timeout_s=LONG_S)
    thread.join()
    assert (over.state, over.result, over.warnings) == ("done", {"frames": ["dog.0001.exr"]}, ("the prompt was cut",))


def test_verbs(client):
    job, other = client.submit(generate()), client.submit(generate("cat"))
    states = [act(job.id).state for act in (client.pause, client.resume, client.cancel, client.retry)]
    assert states == ["paused", "queued", "cancelled", "queued"]
    assert [each.id for each in client.list()] == [other.id, job.id]
    client.move(job.id, before=other.id)
    assert [each.id for each in client.list()] == [job.id, other.id]
    client.move(job.id)
    assert [each.id for each in client.list()] == [other.id, job.id]


def test_a_key_gives_the_same_job(server, client):
    job = client.submit(generate(), key="once")
    assert client.submit(generate(), key="once") == job
    with pytest.raises(errors.Conflict, match="use a new one"):
        client.submit(generate("cat"), key="once")
    body = {"request": generate().to_dict()}
    assert ask(server, "POST", "/v1/jobs", body, Idempotency_Key="twice")[0] == 201
    assert ask(server, "POST", "/v1/jobs", body, Idempotency_Key="twice")[0] == 200


def test_every_page_is_listed_once_in_order(service, client):
    ids = submit(service.store, *(f"dog{number}" for number in range(250)))
    assert [job.id for job in client.list()] == ids
    client.pause(ids[4])
    assert [job.id for job in client.list(state="paused")] == [ids[4]]
    assert client.list(label="none") == []


def test_what_the_machine_has(client):
    assert client.models() == list(SURVEY.models) and client.devices() == list(SURVEY.devices)


def test_a_machine_that_is_not_known_yet(tmp_path):
    service = make_service(tmp_path, survey=None)
    with serving(service) as server:
        threading.Timer(0.2, service.found.set_result, [SURVEY]).start()
        assert server.client.models() == list(SURVEY.models)


def test_a_machine_that_cannot_be_known(tmp_path):
    service = make_service(tmp_path, survey=None)
    service.found.set_exception(SurveyError("the engine cannot be loaded here; layerflow doctor says why"))
    with serving(service) as server, pytest.raises(errors.Busy, match="layerflow doctor says why"):
        server.client.devices()


def test_a_full_queue_and_a_server_that_leaves_say_so(service, client):
    service.store.max_waiting = 1
    client.submit(generate())
    with pytest.raises(errors.Busy, match="1 jobs are waiting already"):
        client.submit(generate("cat"))
    service.leaving.set()
    with pytest.raises(errors.Busy, match="on its way down"):
        client.submit(generate("cat"))


# Refusals

REQUEST = generate().to_dict()


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (b"{", 400, "the body is not JSON; send one object in it"),
        (b"\xff", 400, "the request cannot be read; send JSON as /v1/openapi.json describes"),
        (b"[" * 100_000, 400, "the request cannot be read; send JSON as /v1/openapi.json describes"),
        (b'{"request": {"seed": ' + b"9" * 5000 + b"}}", 400, "the request cannot be read; send JSON as /v1/openapi"),
        ({}, 422, "request is missing; /v1/openapi.json says what may be there"),
        ([], 422, "the body must be an object; /v1/openapi.json says what may be there"),
        ({"request": 5}, 422, "request must be an object, got int; give its fields by name"),
        ({"request": {}}, 422, "a request needs a task; give one of generate, decompose"),
        ({"request": REQUEST | {"sede": 5}}, 422, "a request has no field 'sede'; did you mean 'seed'?"),
        ({"request": REQUEST | {"\ud800": 5}}, 422, "a request has no field '\\ud800'; known are"),
        ({"request": REQUEST | {"steps": 0}}, 422, "steps must be from 1 to 1000, got 0"),
        ({"request": REQUEST | {"colorspace": "\ud800"}}, 422, "colorspace holds the control character U+D800"),
        ({"request": REQUEST, "lable": ""}, 422, "there is no field 'lable' here; leave it out"),
        ({"request": REQUEST, "\ud800": ""}, 422, "the body holds half of a surrogate pair; send whole characters"),
        ({"request": REQUEST, "label": "\0"}, 422, "the label holds the control character U+0000"),
        ({"request": REQUEST, "label": "\ud800"}, 422, "the label holds the control character U+D800"),
        ({"request": REQUEST, "label": "x" * 201}, 422, "the label has 201 characters; 200 at most"),
        ({"request": REQUEST, "label": 5}, 422, "label is not right: input should be a valid string; /v1/openapi.json"),
        ({"request": REQUEST, "overwrite": "yes"}, 422, "overwrite is not right: input should be a valid boolean;"),
    ],
)
def test_a_submission_that_cannot_be(server, body, status, sentence):
    got, _, answer = ask(server, "POST", "/v1/jobs", body)
    told = json.loads(answer)["error"]["message"]
    assert (got, told[: len(sentence)]) == (status, sentence)
    assert "\n" not in told and server.client.list() == []


@pytest.mark.parametrize(
    ("method", "path", "status", "sentence"),
    [
        ("GET", "/v1/nothing", 404, "there is nothing at this address; /v1/openapi.json lists those there are"),
        ("GET", "/v1/jobs/", 404, "there is nothing at this address"),
        ("GET", "/v1/jobs/../health", 404, "there is nothing at this address"),
        ("DELETE", "/v1/jobs", 405, "this address takes another method"),
        ("GET", f"/v1/jobs/{NO_JOB}", 404, f"there is no job {NO_JOB}; layerflow jobs list shows those there are"),
        ("GET", f"/v1/jobs/{NO_JOB}/events", 404, f"there is no job {NO_JOB}"),
        ("GET", "/v1/jobs/X", 422, "a job's id is 32 hex digits, got 'X'; layerflow jobs list shows them"),
        ("GET", "/v1/jobs?state=lost", 422, "state is not right: input should be 'queued', 'running'"),
        ("GET", "/v1/jobs?stat=done", 422, "there is no field 'stat' here; leave it out"),
        ("GET", "/v1/jobs?limit=0", 422, "limit is not right: input should be greater than or equal to 1;"),
        ("GET", f"/v1/jobs?limit={'9' * 5000}", 422, "limit is not right: "),
        ("GET", "/v1/jobs?after=5", 422, "a job's id is 32 hex digits, got '5'"),
        ("GET", f"/v1/jobs?after={NO_JOB}", 404, f"there is no job {NO_JOB}"),
    ],
)
def test_a_question_that_cannot_be(server, method, path, status, sentence):
    got, _, answer = ask(server, method, path)
    told = json.loads(answer)["error"]["message"]
    assert (got, told[: len(sentence)]) == (status, sentence)


@pytest.mark.parametrize("value", ["-1", "x", "9" * 19, "1.5", "٣"])
def test_an_event_there_cannot_be(server, value):
    status, _, answer = ask(server, "GET", "/v1/events", Last_Event_ID=value.encode())
    assert (status, json.loads(answer)["error"]["kind"]) == (422, "RequestError")


def test_a_queue_that_cannot_be_used(service, server, tmp_path, monkeypatch):
    client = server.client
    client.submit(generate())
    monkeypatch.setattr(service.store.database, "_connection", lambda: 1 / 0)
    status, _, answer = ask(server, "GET", "/v1/jobs")
    assert status == 500 and json.loads(answer)["error"]["message"].startswith("the server failed inside; its log")
    assert b"Zero" not in answer and b"layerflow/" not in answer
