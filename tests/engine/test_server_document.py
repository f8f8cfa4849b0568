"""The OpenAPI document: it says what the wire says, and the server does what it says."""

from __future__ import annotations

import json
import re
from dataclasses import MISSING, fields
from pathlib import Path
from typing import get_args

import pytest
import schemathesis
from guarded import TOKEN, Caller
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance
from serving import make_service, serving, shot, work
from spacious import PLATE, add_user

from layerflow import wire
from layerflow.server import schemas
from layerflow.server.asked import EXAMPLE, WORDS, request_schema
from layerflow.server.forms import CHUNK
from layerflow.wire.jobs import EVENT_KINDS, STATES
from layerflow.wire.request import CHOICES, RANGES


@pytest.mark.parametrize("name", ["Job", "JobEvent", "Progress"])
def test_what_is_told_has_the_wires_fields(name):
    assert list(getattr(schemas, name).model_fields) == [field.name for field in fields(getattr(wire, name))]


def test_states_and_kinds():
    assert get_args(schemas.State) == STATES and get_args(schemas.Kind) == EVENT_KINDS


def test_a_request_is_described_by_the_wires_own_rules():
    schema = request_schema()["properties"]
    assert list(schema) == [field.name for field in fields(wire.Request)] == list(WORDS)
    for field in fields(wire.Request):
        said = schema[field.name]
        assert "default" not in said if field.default is MISSING else tuple_of(said["default"]) == field.default
        assert tuple(value for value in said.get("enum", ()) if value is not None) == CHOICES.get(field.name, ())
        assert (said.get("minimum"), said.get("maximum")) == RANGES.get(field.name, (None, None))
    assert wire.Request.from_dict(EXAMPLE).task == "decompose"


def tuple_of(value):
    return tuple(value) if isinstance(value, list) else value


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    return make_service(tmp_path_factory.mktemp("server"))


@pytest.fixture(scope="module")
def client(service):
    with serving(service) as client:
        yield client


@pytest.fixture(scope="module")
def caller(service, client):
    return Caller(service)


def test_what_is_told_fits_the_document(service, client, caller):
    job = client.submit(shot(service))
    work(service).join()
    schemas.Jobs.model_validate_json(caller.ask("GET", "/v1/jobs").body, strict=True)
    schemas.Job.model_validate_json(caller.ask("GET", f"/v1/jobs/{job.id}").body, strict=True)
    for event in client.events(job.id):
        schemas.JobEvent.model_validate(event.to_dict(), strict=True)


@pytest.mark.parametrize("name", ["Job", "JobEvent", "Submission"])
def test_examples_are_real(name):
    (example,) = getattr(schemas, name).model_config["json_schema_extra"]["examples"]
    told = json.dumps(example)
    getattr(schemas, name).model_validate_json(told, strict=True)
    if name != "Submission":
        assert json.dumps(getattr(wire, name).from_dict(json.loads(told)).to_dict()) == told


def test_who_needs_a_token(caller):
    told = json.loads(caller.ask("GET", "/v1/openapi.json").body)
    open_paths = {path for path, methods in told["paths"].items() for each in methods.values() if "security" in each}
    assert told["security"] == [{"token": []}] and open_paths == {"/v1/health"}
    assert caller.ask("GET", "/v1/openapi.json", authorization=None).status == 401


def test_the_manual_names_every_address(caller):
    told = json.loads(caller.ask("GET", "/v1/openapi.json").body)
    addresses = {f"{method.upper()} {path}" for path, methods in told["paths"].items() for method in methods}
    manual = (Path(__file__).parents[2] / "docs" / "server.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:GET|HEAD|POST|PATCH|DELETE) /[^`]*)`", manual)
    assert sorted(named) == sorted({*addresses, "GET /v1/openapi.json"})


@schemathesis.serializer(CHUNK)
def as_it_is(context, value):
    return {"data": schemathesis.transport.serialization.serialize_binary(value)}


@pytest.fixture(scope="module")
def api(service, client):
    jobs = [client.submit(shot(service, f"dog{number}")) for number in range(3)]
    client.cancel(jobs[0].id)
    return api_for(service, TOKEN)


def api_for(service, token):
    """What may be asked with that token."""
    url = f"http://127.0.0.1:{service.port}/v1/openapi.json"
    api = schemathesis.openapi.from_url(url, headers={"Authorization": f"Bearer {token}"})
    api.config.update(headers={"Authorization": f"Bearer {token}"})
    return api.exclude(path_regex="/events$")  # which do not end


def operations(api, *names):
    found = [each.ok() for each in api.get_all_operations()]
    return [each for each in found if not names or each.label in names]


def test_nothing_that_is_sent_breaks_the_server(api):
    for operation in operations(api):
        check(operation.as_strategy())


def test_nothing_that_is_sent_breaks_a_job_there_is(service, api):
    jobs = [each["id"] for each in service.store.page(limit=3).jobs]
    ids = st.sampled_from([*jobs, "0" * 32])
    for operation in operations(api):
        if "{job}" in operation.label:
            check(st.builds(of_job, operation.as_strategy(), ids, ids))


def test_nothing_that_a_user_sends_breaks_the_server(service, client):
    ann = add_user(service, "ann")
    ann.upload(b"0123456789")
    ann.begin(b"on its way", "posix-ws7/b")
    names = st.sampled_from([PLATE, "posix-ws7/b", "posix-ws7/shots", "posix-ws7/none"])
    for operation in operations(api_for(service, ann.token)):
        if "/files" in operation.label and not operation.label.startswith("DELETE"):
            cases = operation.as_strategy()
            check(st.builds(of_file, cases, names) if "{name}" in operation.label else cases, ignored_auth)


def of_file(case, name):
    case.path_parameters["name"] = name
    return case


def of_job(case, job, before):
    case.path_parameters["job"] = job
    if case.path.endswith("/move"):
        case.body["before"] = before
    return case


def test_what_the_document_forbids_is_refused(api):
    for operation in operations(api, "POST /v1/jobs", "GET /v1/jobs", "POST /v1/jobs/{job}/move"):
        check(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))


def check(cases, *besides):
    """Statuses, types and contents are as the document says, and nothing is a 500. `besides` is not looked at."""

    @settings(max_examples=25, suppress_health_check=list(HealthCheck))
    @given(cases)
    def one(case):  # what may stand beside what in a request is more than a schema can say
        case.call_and_validate(excluded_checks=[positive_data_acceptance, *besides])

    one()
