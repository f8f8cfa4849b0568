"""Jobs: which state may follow which, and what a host reads of a job that a newer server tells of."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerflow.wire import Job, JobEvent, Progress, Request
from layerflow.wire.jobs import EVENT_KINDS, FINAL_STATES, MAX_LABEL, STATES, VERBS, can_go, check_id, state_after
from layerflow.wire.pace import Pace

ID = "0123456789abcdef" * 2
REQUEST = Request("decompose", plate="plates/dog.####.exr", lora=("dog.safetensors:0.5",))

WIRE_DOCUMENTATION = Path(__file__).parents[2] / "docs" / "wire.md"


def job(**values):
    return Job(**{"id": ID, "state": "queued", "request": REQUEST, **values})


def over_json(value):
    return type(value).from_dict(json.loads(json.dumps(value.to_dict())))


def test_every_pair_of_states_is_as_documented():
    table = WIRE_DOCUMENTATION.read_text(encoding="utf-8").partition("## States")[2]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("|")]
    header, _, *rows = cells
    assert tuple(header[1:]) == STATES == tuple(row[0] for row in rows)
    for before, *ways in rows:
        for after, way in zip(STATES, ways, strict=True):
            assert can_go(before, after) == bool(way), (before, after)


@pytest.mark.parametrize("pair", [("queued", "lost"), ("lost", "queued"), ("", ""), ("Queued", "running")])
def test_there_are_no_other_states(pair):
    with pytest.raises(ValueError, match="state must be one of queued, running"):
        can_go(*pair)


def test_what_people_ask_for_leads_where_the_table_says():
    asked = {}
    for verb, state in product(VERBS, STATES):
        try:
            asked[verb, state] = state_after(verb, state)
        except ValueError as error:
            assert str(error).startswith(f"a {state} job cannot {verb}; only a ") and state not in VERBS[verb][0]
        else:
            assert can_go(state, asked[verb, state])
    assert asked == {
        ("cancel", "queued"): "cancelled",
        ("cancel", "running"): "cancelled",
        ("cancel", "paused"): "cancelled",
        ("retry", "failed"): "queued",
        ("retry", "cancelled"): "queued",
        ("pause", "queued"): "paused",
        ("pause", "running"): "paused",
        ("resume", "paused"): "queued",
    }


def test_done_is_the_end_and_every_final_state_needs_someone_to_ask():
    assert not any(can_go("done", after) for after in STATES)
    assert [state for state in STATES if job(state=state).is_final] == list(FINAL_STATES)
    assert all({after for after in STATES if can_go(state, after)} <= {"queued"} for state in FINAL_STATES)


numbers = st.integers(0, 2**40)
times = st.none() | st.floats(0.0, 1e11)
progresses = st.tuples(numbers, numbers, numbers, numbers, st.text()).map(
    lambda n: Progress(n[4], min(n[:2]), max(n[:2]), min(n[2:4]), max(n[2:4]))
)
jobs = st.builds(
    job,
    state=st.sampled_from(STATES),
    label=st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=MAX_LABEL),
    overwrite=st.booleans(),
    position=st.integers(),
    created_at=times,
    finished_at=times,
    attempts=numbers,
    device=st.none() | st.just("cuda:0"),
    progress=progresses,
    message=st.text(),
    warnings=st.lists(st.text()).map(tuple),
    result=st.none() | st.dictionaries(st.text(), st.integers() | st.lists(st.text())),
)


@given(jobs)
def test_a_job_comes_back_from_json_as_it_was(job_):
    assert over_json(job_) == job_


@given(st.sampled_from(EVENT_KINDS), numbers, st.floats(0, 1e11), jobs)
def test_an_event_comes_back_from_json_as_it_was(kind, number, at, job_):
    event = over_json(JobEvent(number, ID, kind, at, json.loads(json.dumps(job_.to_dict()))))
    assert event == JobEvent(number, ID, kind, at, event.data) and Job.from_dict(event.data) == job_


def test_an_old_host_reads_what_a_newer_server_tells():
    values = json.loads(json.dumps(job().to_dict()))
    values["priority"] = values["progress"]["eta_s"] = values["request"]["depth"] = 5
    values["request"]["precision"] = "float4"
    assert Job.from_dict(values).request == Request.accepted({**REQUEST.to_dict(), "precision": "float4"})
    event = {"id": 1, "job": ID, "kind": "progress", "at": 1, "data": {}, "origin": "worker"}
    assert JobEvent.from_dict(event).id == 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([ID, "queued", "state"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(job().to_dict())), inner),
    max_leaves=12,
)


@given(st.sampled_from([Job, JobEvent, Progress]), st.dictionaries(st.text(), json_values), st.data())
def test_garbage_is_a_value_error(kind, values, data):
    names = list(kind.__dataclass_fields__)
    values |= data.draw(st.dictionaries(st.sampled_from(names), json_values))
    try:
        read = kind.from_dict(values)
    except ValueError as error:
        assert "\n" not in str(error)
    else:
        assert isinstance(read, kind)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"state": "lost"}, "state must be one of"),
        ({"id": "7"}, "32 hex digits"),
        ({"id": ID.upper()}, "32 hex digits"),
        ({"label": "x" * (MAX_LABEL + 1)}, "200 at most"),
        ({"label": "a\nb"}, "control character"),
        ({"attempts": True}, "attempts must be a whole number"),
        ({"warnings": ("a", 1)}, "warnings must be a list of texts"),
        ({"result": []}, "result must be an object"),
    ],
)
def test_a_job_that_cannot_be_is_refused(values, complaint):
    with pytest.raises(ValueError, match=complaint):
        job(**values)


@pytest.mark.parametrize("missing", ["id", "state", "request"])
def test_a_job_without_its_heart_is_refused(missing):
    values = job().to_dict()
    del values[missing]
    with pytest.raises(ValueError, match=f"needs the field '{missing}'"):
        Job.from_dict(values)


@pytest.mark.parametrize("numbers", [{"done": 2, "total": 1}, {"done": -1}, {"frames_done": 3, "frames_total": 2}])
def test_no_more_is_done_than_there_is(numbers):
    with pytest.raises(ValueError, match="must be from 0 to"):
        Progress(**numbers)


@pytest.mark.parametrize("text", ["", "7", ID + "0", ID[:-1] + "/", ID + "\n", None, 5, "../" * 10])
def test_what_is_no_id_of_a_job(text):
    with pytest.raises(ValueError, match="32 hex digits"):
        check_id(text)


def event(kind, at=0.0, **data):
    return JobEvent(id=1, job=ID, kind=kind, at=at, data=data)


def test_a_job_after_an_event_is_what_the_event_tells():
    begun = job().after(event("state", **job(state="running").to_dict()))
    assert begun.state == "running"
    at = begun.after(event("progress", stage="sampling", done=3, total=8, frames_done=1, frames_total=16))
    assert at.progress == Progress("sampling", 3, 8, 1, 16)
    written = at.after(event("frame", path="/out/dog.0002.exr", done=2, total=16))
    assert written.progress == Progress("sampling", 3, 8, 2, 16)
    assert written.after(event("warning", message="the disk is nearly full")).warnings == ("the disk is nearly full",)


def sampling(at, done, total=10, stage="sampling"):
    return event("progress", at=at, stage=stage, done=done, total=total)


def test_the_time_left_is_what_is_left_at_the_pace_so_far():
    pace = Pace()
    assert pace.left_s() is None
    for at, done in ((100.0, 1), (101.0, 2)):
        pace.note(sampling(at, done))
        assert pace.left_s() is None  # two steps in two seconds at least, before a pace is told
    pace.note(sampling(106.0, 4))
    assert pace.left_s() == pytest.approx(6 * 6.0 / 3)


@pytest.mark.parametrize(
    "new", [sampling(200.0, 5, stage="writing"), sampling(200.0, 1), sampling(200.0, 5, total=20), event("state")]
)
def test_another_stage_begins_a_pace_of_its_own(new):
    pace = Pace()
    for at, done in ((100.0, 1), (110.0, 4)):
        pace.note(sampling(at, done))
    pace.note(new)
    assert pace.left_s() is None
