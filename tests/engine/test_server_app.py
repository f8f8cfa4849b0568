"""The API over a real socket, by the hosts' own client: what is asked, what is told, and what is refused in words."""

from __future__ import annotations

import json
import threading
from contextlib import closing
from itertools import islice
from pathlib import Path
from subprocess import Popen
from types import SimpleNamespace

import pytest
from guarded import TOKEN, Caller
from queueing import generate, submit, worker
from serving import SURVEY, make_service, serving, shot, work

from layerflow.server.leases import claim
from layerflow.server.supervisor import Post
from layerflow.server.survey import SurveyError
from layerflow.wire import Request, errors

NO_JOB = "0" * 32
LONG_S = 60.0


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    return make_service(tmp_path_factory.mktemp("server"))


@pytest.fixture(scope="module")
def running(service):
    with serving(service) as client:
        yield client


@pytest.fixture
def client(service, running):
    """A client of a server with an empty queue."""
    with service.store.database.write() as connection:
        connection.execute("DELETE FROM job")
        connection.execute("DELETE FROM worker")
    return running


@pytest.fixture
def caller(service, client):
    return Caller(service)


def test_a_job_from_submit_to_result(service, client):
    label = "nuke:shot.nk/LayerFlow1"
    job = client.submit(shot(service), label=label, overwrite=True)
    assert (job.state, job.request, job.label, job.overwrite) == ("queued", shot(service), label, True)
    assert client.get(job.id) == job == service.store.get(job.id) and client.list() == [job]
    thread = work(service)
    over = client.wait(job.id, timeout_s=LONG_S)
    thread.join()
    assert (over.state, over.result, over.warnings) == ("done", {"frames": ["dog.0001.exr"]}, ("the prompt was cut",))


def test_verbs(service, client):
    job, other = client.submit(shot(service)), client.submit(shot(service, "cat"))
    states = [act(job.id).state for act in (client.pause, client.resume, client.cancel, client.retry)]
    assert states == ["paused", "queued", "cancelled", "queued"]
    assert [each.id for each in client.list()] == [other.id, job.id]
    client.move(job.id, before=other.id)
    assert [each.id for each in client.list()] == [job.id, other.id]
    client.move(job.id)
    assert [each.id for each in client.list()] == [other.id, job.id]


def test_what_cannot_be_is_told_in_the_servers_words(service, client):
    job = client.submit(shot(service))
    with pytest.raises(errors.Conflict, match="a queued job cannot resume; only a paused one can") as conflict:
        client.resume(job.id)
    assert (conflict.value.status, conflict.value.kind) == (409, "JobStateError")
    with pytest.raises(errors.NotFound, match=f"there is no job {NO_JOB}; layerflow jobs list"):
        client.get(NO_JOB)


def test_a_key_gives_the_same_job(service, client, caller):
    job = client.submit(shot(service), key="once")
    assert client.submit(shot(service), key="once") == job
    with pytest.raises(errors.Conflict, match="use a new one"):
        client.submit(shot(service, "cat"), key="once")
    body = json.dumps({"request": shot(service).to_dict()}).encode()
    assert caller.ask("POST", "/v1/jobs", body, idempotency_key="twice").status == 201
    assert caller.ask("POST", "/v1/jobs", body, idempotency_key="twice").status == 200


def test_every_page_is_listed_once_in_order(service, client):
    ids = submit(service.store, *(f"dog{number}" for number in range(250)))
    assert [job.id for job in client.list()] == ids
    client.pause(ids[4])
    assert [job.id for job in client.list(state="paused")] == [ids[4]]
    assert client.list(label="none") == []


def test_what_a_look_does_not_tell_the_events_after_it_do(service, client):
    ids = submit(service.store, *(f"dog{number}" for number in range(150)))
    look = client.look()
    client.cancel(ids[3])
    last = client.submit(shot(service, "cat"))
    assert [job.id for job in look.jobs] == ids and {job.state for job in look.jobs} == {"queued"}
    with closing(client.events(after=look.event)) as events:
        news = [(event.job, event.data["state"]) for event in islice(events, 2)]
    assert news == [(ids[3], "cancelled"), (last.id, "queued")]


def test_what_the_machine_has(client):
    assert client.models() == list(SURVEY.models) and client.devices() == list(SURVEY.devices)


def test_a_machine_that_is_not_known_yet(tmp_path):
    service = make_service(tmp_path, survey=None)
    with serving(service) as client:
        threading.Timer(0.2, service.found.set_result, [SURVEY]).start()
        assert client.models() == list(SURVEY.models)


def test_a_machine_that_cannot_be_known(tmp_path):
    service = make_service(tmp_path, survey=None)
    service.found.set_exception(SurveyError("the engine cannot be loaded here; layerflow doctor says why"))
    with serving(service) as client, pytest.raises(errors.Busy, match="layerflow doctor says why"):
        client.devices()


def test_a_full_queue_says_so(service, client, monkeypatch):
    monkeypatch.setattr(service.store, "max_waiting", 1)
    client.submit(shot(service))
    with pytest.raises(errors.Busy, match="1 jobs are waiting already") as busy:
        client.submit(shot(service, "cat"))
    assert busy.value.retry_after_s == 10


def test_a_server_that_leaves_says_so(tmp_path):
    service = make_service(tmp_path)
    with serving(service) as client:
        service.leaving.set()
        with pytest.raises(errors.Busy, match="on its way down") as busy:
            client.submit(shot(service))
        assert busy.value.retry_after_s == 2


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
        ({"request": REQUEST}, 400, "output must be a whole path for the server, got 'dog.%04d.exr'"),
        ({"request": REQUEST | {"output": "/elsewhere/dog.%04d.exr"}}, 403, "output /elsewhere/dog.%04d.exr lies"),
        ({"request": REQUEST, "lable": ""}, 422, "there is no field 'lable' here; leave it out"),
        ({"request": REQUEST, "\ud800": ""}, 422, "the body holds half of a surrogate pair; send whole characters"),
        ({"request": REQUEST, "label": "\0"}, 422, "the label holds the control character U+0000"),
        ({"request": REQUEST, "label": "\ud800"}, 422, "the label holds the control character U+D800"),
        ({"request": REQUEST, "label": "x" * 201}, 422, "the label has 201 characters; 200 at most"),
        ({"request": REQUEST, "label": 5}, 422, "label is not right: input should be a valid string; /v1/openapi.json"),
        ({"request": REQUEST, "overwrite": "yes"}, 422, "overwrite is not right: input should be a valid boolean;"),
    ],
)
def test_a_submission_that_cannot_be(client, caller, body, status, sentence):
    answer = caller.ask("POST", "/v1/jobs", body if isinstance(body, bytes) else json.dumps(body).encode())
    assert (answer.status, answer.message[: len(sentence)]) == (status, sentence)
    assert "\n" not in answer.message and client.list() == []


def test_a_path_outside_is_told_to_programs_too(client, service):
    request = Request("generate", foreground="a dog", background="a park", output="/elsewhere/dog.%04d.exr")
    with pytest.raises(errors.Outside, match="output /elsewhere") as refusal:
        client.submit(request)
    assert refusal.value.path == request.output
    assert refusal.value.roots == tuple(map(str, service.settings.roots))


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
        ("GET", "/v1/jobs?limit=1%C2%85", 422, "a number is written in digits alone; leave it out"),
        ("GET", f"/v1/jobs?limit={'9' * 5000}", 422, "limit is not right: "),
        ("GET", "/v1/jobs?after=5", 422, "a job's id is 32 hex digits, got '5'"),
        ("GET", f"/v1/jobs?after={NO_JOB}", 404, f"there is no job {NO_JOB}"),
    ],
)
def test_a_question_that_cannot_be(caller, method, path, status, sentence):
    answer = caller.ask(method, path)
    assert (answer.status, answer.message[: len(sentence)]) == (status, sentence)


@pytest.mark.parametrize("value", ["-1", "x", "9" * 19, "1.5", "٣"])
def test_an_event_there_cannot_be(caller, value):
    answer = caller.ask("GET", "/v1/events", last_event_id=value)
    assert (answer.status, answer.kind) == (422, "RequestError")


def test_an_address_that_takes_no_post(caller):
    answer = caller.ask("POST", "/v1/models", b"{}")
    assert (answer.status, answer.kind, answer.headers["allow"]) == (405, "MethodNotAllowed", "GET")


def test_what_nobody_foresaw_is_told_without_its_inside(service, caller, monkeypatch):
    monkeypatch.setattr(service.store.database, "_connection", lambda: 1 / 0)
    answer = caller.ask("GET", "/v1/jobs")
    assert (answer.status, answer.message) == (500, "the server failed inside; its log says more, then try again")
    assert b"Zero" not in answer.body


# A closer look


def test_a_log(service, client):
    job = client.submit(shot(service))
    assert client.log(job.id) == ""
    service.folder.log_of(job.id).write_bytes("done in 1.5 s, é\n".encode() + b"\xff")
    assert client.log(job.id) == "done in 1.5 s, é\n\ufffd"
    with pytest.raises(errors.NotFound):
        client.log(NO_JOB)


def test_a_preview_while_there_is_one(service, client):
    job = client.submit(shot(service))
    picture = service.folder.preview_of(job.id, "foreground")
    assert client.preview(job.id, "foreground") is None and not picture.parent.exists()
    worker(service.store, "w")
    claim(service.store, "w")
    assert client.preview(job.id, "foreground") is None and service.folder.is_looked_at(job.id)
    picture.write_bytes(b"\xff\xd8one")
    first = client.preview(job.id, "foreground")
    assert first.image == b"\xff\xd8one" and client.preview(job.id, "foreground", etag=first.etag) is None
    picture.write_bytes(b"\xff\xd8two, later")
    second = client.preview(job.id, "foreground", etag=first.etag)
    assert second.image == b"\xff\xd8two, later" and second.etag != first.etag


@pytest.mark.parametrize("layer", ["looked-at", "../../jobs", "..", "alpha.jpg", "Alpha", "a" * 300, "é", "\0"])
def test_a_layer_can_be_no_other_file(service, client, layer):
    job = client.submit(shot(service))
    service.folder.preview_of(job.id, "alpha").parent.mkdir(parents=True)
    service.folder.looked_at(job.id).touch()
    assert client.preview(job.id, layer) is None


# Metrics


def figures(caller):
    """Every figure by its name and labels."""
    lines = caller.ask("GET", "/metrics").body.decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


def test_figures_of_the_queue_and_the_answers(service, client, caller, monkeypatch):
    before = figures(caller)
    job = client.submit(shot(service))
    client.pause(client.submit(shot(service, "cat")).id)
    client.cancel(job.id)
    caller.ask("GET", "/v1/jobs/X", authorization=None)
    caller.ask("BREW", "/v1/jobs")
    posts = [
        Post(device="cuda:0", program=(), process=Popen(["true"]), restarts=2),
        Post(device="cuda:1", program=(), restarts=1),
    ]
    posts[0].process.wait()
    monkeypatch.setattr(service, "supervisor", SimpleNamespace(posts=posts))
    after = figures(caller)

    def more(name):
        return after[name] - before.get(name, 0.0)

    assert (after['layerflow_jobs{state="paused"}'], after["layerflow_jobs_waiting"]) == (1.0, 1.0)
    assert after['layerflow_jobs{state="cancelled"}'] == 1.0 and after["layerflow_streams"] == 0.0
    assert more('layerflow_requests_total{method="POST",route="/v1/jobs",status="201"}') == 2.0
    assert more('layerflow_requests_total{method="POST",route="/v1/jobs/{job}/cancel",status="200"}') == 1.0
    assert more('layerflow_requests_total{method="GET",route="none",status="401"}') == 1.0
    assert more('layerflow_requests_total{method="other",route="none",status="405"}') == 1.0
    assert more('layerflow_request_seconds_count{route="/v1/jobs"}') == 2.0
    assert after['layerflow_worker_up{device="cuda:0"}'] == after['layerflow_worker_up{device="cuda:1"}'] == 0.0
    assert after['layerflow_worker_restarts_total{device="cuda:0"}'] == 2.0
    own = {name.partition("{")[0] for name in after if name.startswith("layerflow_")}
    manual = (Path(__file__).parents[2] / "docs" / "server.md").read_text(encoding="utf-8")
    for name in own - {name for name in own if name.endswith(("_created", "_bucket", "_count", "_sum"))}:
        assert f"`{name}" in manual
    with Popen(["sleep", "60"]) as posts[1].process:
        assert figures(caller)['layerflow_worker_up{device="cuda:1"}'] == 1.0
        posts[1].process.kill()


def test_figures_name_no_job_and_no_token(service, client, caller):
    job = client.submit(shot(service), label="secret-shot")
    client.get(job.id)
    text = caller.ask("GET", "/metrics").body.decode()
    assert job.id not in text and TOKEN not in text and "secret-shot" not in text
