"""Several users of one server: each has a token, a space, jobs and a share of the queue, and knows of nobody else."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from attacking import status_of, wait_for
from queueing import generate, worker
from serving import address_of, make_service, serving
from spacious import UserCaller, add_user

from layerflow.errors import RequestError
from layerflow.server.leases import Lease, claim
from layerflow.server.service import Service
from layerflow.server.users import User, Users
from layerflow.wire import Job, Progress, Request
from layerflow.wire.client import Client

OUT = "space:posix-ws7/shots/dog"
NAMELESS = {"space_bytes": 1, "jobs": 1}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = make_service(tmp_path)
    with serving(service):
        yield service


@pytest.fixture
def ann(service: Service) -> UserCaller:
    return add_user(service, "ann", jobs=2)


@pytest.fixture
def bob(service: Service) -> UserCaller:
    return add_user(service, "bob")


def client_of(user: UserCaller) -> Client:
    return Client(replace(address_of(user.service), token=user.token))


def shot(name: str = OUT, /, **changes: Any) -> Request:
    return generate(name, **changes)


def taken_up(service: Service) -> Lease:
    worker(service.store)
    lease = claim(service.store, "w")
    assert lease is not None
    return lease


def test_paths_are_the_spaces_own_on_the_server_and_names_for_the_user(service: Service, ann: UserCaller) -> None:
    client = client_of(ann)
    job = ann.submit(shot(lora=("space:posix-ws7/dog.safetensors:0.5",)))
    assert job.request == shot(lora=("space:posix-ws7/dog.safetensors:0.5",))
    lease, folder = taken_up(service), str(ann.space.folder)
    assert lease.owner == "ann" and lease.job.request.output == f"{folder}/posix-ws7/shots/dog.%04d.exr"
    assert lease.job.request.lora == (f"{folder}/posix-ws7/dog.safetensors:0.5",)
    frame = f"{folder}/posix-ws7/shots/dog.0001.exr"
    service.folder.log_of(job.id).write_text(f"wrote {frame}\n")
    lease.frame(frame, Progress("Writing", 1, 1, 1, 1))
    lease.warning(f"{frame} is dark; the folder {folder} fills up")
    lease.done({"frames": [frame], "per_layer": {"foreground": [frame]}})
    over = client.get(job.id)
    named = "space:posix-ws7/shots/dog.0001.exr"
    assert over.result == {"frames": [named], "per_layer": {"foreground": [named]}}
    assert over.warnings == (f"{named} is dark; the folder space: fills up",)
    events = list(client.events(job.id))
    assert [each.data["path"] for each in events if each.kind == "frame"] == [named]
    everything = json.dumps([each.to_dict() for each in events]) + client.log(job.id)
    assert folder not in everything and client.log(job.id) == f"wrote {named}\n"
    assert folder in service.store.get(job.id).to_dict()["result"]["frames"][0]  # as the machine's own is told


def test_files_of_a_job_that_is_done(service: Service, ann: UserCaller, bob: UserCaller) -> None:
    job = ann.submit(shot())
    lease, folder = taken_up(service), ann.space.folder / "posix-ws7/shots"
    assert ann.ask("GET", f"/v1/jobs/{job.id}/files").kind == "JobStateError"
    names = ["dog.0001.exr", "dog.foreground.0001.exr", "dog.mov", "dog.png"]
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(name.encode())
    frame, layer, movie, sheet = (str(folder / name) for name in names)
    lease.done(
        {"frames": [frame], "per_layer": {"foreground": [layer]}, "preview_movie": movie, "contact_sheet": sheet}
    )
    files = json.loads(ann.ask("GET", f"/v1/jobs/{job.id}/files").body)["files"]
    assert [each["name"] for each in files] == [f"posix-ws7/shots/{name}" for name in names]
    for each in files:
        answer = ann.ask("GET", f"/v1/files/{each['name']}")
        assert len(answer.body) == each["size"] and answer.headers["etag"] == f'"{each["sha256"]}"'
    assert bob.ask("GET", f"/v1/jobs/{job.id}/files").kind == "JobNotFoundError"
    ann.ask("DELETE", "/v1/files/posix-ws7/shots/dog.mov")
    assert ann.ask("GET", f"/v1/jobs/{job.id}/files").kind == "FileNotThereError"


def asked_of(job: Job, other: Job) -> list[tuple[str, str, bytes | None]]:
    """Everything that can be asked of a job."""
    verbs, looks = ("cancel", "retry", "pause", "resume"), ("", "/log", "/preview/foreground", "/events", "/files")
    return [
        *(("GET", f"/v1/jobs/{job.id}{look}", None) for look in looks),
        ("GET", f"/v1/jobs?after={job.id}", None),
        *(("POST", f"/v1/jobs/{job.id}/{verb}", b"{}") for verb in verbs),
        ("POST", f"/v1/jobs/{job.id}/move", b'{"before": null}'),
        ("POST", f"/v1/jobs/{other.id}/move", json.dumps({"before": job.id}).encode()),
    ]


def test_jobs_of_others_are_not_there(service: Service, ann: UserCaller, bob: UserCaller) -> None:
    own, other = ann.submit(shot()), bob.submit(shot())
    for method, target, body in asked_of(own, other):
        answer = bob.ask(method, target, body)
        assert (answer.status, answer.kind) == (404, "JobNotFoundError"), target
        assert answer.message == f"there is no job {own.id}; layerflow jobs list shows those there are"
    assert client_of(ann).get(own.id) == own
    assert [each.id for each in client_of(bob).list()] == [other.id]
    assert [each.id for each in Client(address_of(service)).list()] == [own.id, other.id]


def test_events_are_of_ones_own_jobs(service: Service, ann: UserCaller, bob: UserCaller) -> None:
    job = ann.submit(shot())
    own = bob.submit(shot()).id
    heard: list[str] = []

    def listen() -> None:
        with closing(client_of(bob).events()) as events:
            for event in islice(events, 3):
                heard.append(event.job)

    thread = threading.Thread(target=listen)
    thread.start()
    wait_for(lambda: len(heard) == 1)  # what was is told; what comes now is told to all who listen
    client_of(ann).cancel(job.id)
    client_of(bob).pause(own)
    client_of(bob).resume(own)
    thread.join()
    assert heard == [own] * 3


def test_a_job_goes_nowhere_but_to_the_space(service: Service, ann: UserCaller, tmp_path: Path) -> None:
    outside = [
        shot(str(tmp_path / "dog")),  # which the machine's own jobs may use
        shot("space:posix-ws7/../../bob/dog"),
        shot("space:/tmp/dog"),
        shot("dog"),
        shot(model=str(tmp_path)),
        shot(model="../mini"),
        shot(lora=(str(tmp_path / "a.safetensors"),)),
    ]
    for request in outside:
        refusal = ann.post(request)
        assert refusal.status in (400, 403, 422) and str(service.spaces) not in refusal.message
    ann.space.folder.mkdir(parents=True)
    (ann.space.folder / "posix-ws7").symlink_to(tmp_path)
    refusal = ann.post(shot())
    assert (refusal.kind, refusal.message.partition(" leads out of your space")[2]) == (
        "OutsideError",
        "; use another name",
    )
    assert not service.store.page().jobs


def test_keys_are_each_users_own(service: Service, ann: UserCaller, bob: UserCaller) -> None:
    machine = UserCaller(service, service.token)
    wishes = [(ann, shot()), (bob, shot()), (machine, generate(str(service.settings.roots[0] / "dog")))]
    jobs, again = ([asker.submit(wish, idempotency_key="once").id for asker, wish in wishes] for _ in range(2))
    assert jobs == again and len(set(jobs)) == 3


def test_a_user_has_a_share_of_the_queue(service: Service, ann: UserCaller, bob: UserCaller) -> None:
    jobs = [ann.submit(shot(f"{OUT}{number}")) for number in range(2)]
    refusal = ann.post(shot())
    assert (refusal.status, refusal.kind) == (429, "QueueFullError")
    assert refusal.message == "2 jobs of yours are waiting, which is all that may; cancel one or wait"
    bob.submit(shot())
    client_of(ann).cancel(jobs[0].id)
    ann.submit(shot())
    told = json.loads(ann.ask("GET", "/v1/space").body)
    assert (told["user"], told["jobs_waiting"], told["jobs_limit"]) == ("ann", 2, 2)


def test_no_job_is_taken_from_one_whose_space_is_full(service: Service) -> None:
    ann = add_user(service, "ann", space_bytes=10)
    ann.upload(b"0123456789")
    refusal = ann.post(shot())
    assert (refusal.status, refusal.kind) == (413, "SpaceFullError") and refusal.message.startswith("your space holds ")


def test_a_user_has_a_share_of_the_streams(service: Service, ann: UserCaller, bob: UserCaller) -> None:
    with ExitStack() as stack:
        opened = [stack.enter_context(ann.connect()) for _ in range(17)]
        for connection in opened:
            connection.sendall(ann.head("GET", "/v1/events"))
            status = connection.recv(12)[9:]
            assert status == (b"429" if connection is opened[-1] else b"200")
        assert status_of(bob, "/v1/events") == 200


def test_figures_of_the_whole_machine_are_for_its_own(ann: UserCaller) -> None:
    assert (ann.ask("GET", "/metrics").status, ann.ask("GET", "/metrics").kind) == (403, "MachineOnlyError")


def test_a_token_counts_from_now_and_no_longer_than_it_is_wanted(service: Service, ann: UserCaller) -> None:
    users = Users(service.store.database)
    token = users.renew("ann")
    assert ann.ask("GET", "/v1/jobs").status == 401
    assert ann.ask("GET", "/v1/jobs", authorization=f"Bearer {token}").status == 200
    users.remove("ann")
    assert ann.ask("GET", "/v1/jobs", authorization=f"Bearer {token}").status == 401


@pytest.mark.parametrize("form", ["{}x", "x{}", "Basic {}", "{0}, {0}", "", "\xe9"])
def test_what_is_not_quite_a_token_opens_nothing(ann: UserCaller, form: str) -> None:
    assert ann.ask("GET", "/v1/space", authorization=f"Bearer {form.format(ann.token)}").status in (400, 401)
    assert ann.ask("GET", f"/v1/space?token={ann.token}", authorization=None).status == 401


def test_nothing_keeps_a_token(service: Service, ann: UserCaller) -> None:
    ann.submit(shot())
    kept = b"".join(path.read_bytes() for path in service.folder.path.rglob("*") if path.is_file())
    assert b"ann" in kept and ann.token.encode() not in kept


@pytest.mark.parametrize("name", ["", "Ann", "ann bob", "../ann", "a/b", "con", "-a", "ann.", "x" * 33, "é"])
def test_names_that_no_folder_may_have(service: Service, name: str) -> None:
    with pytest.raises(RequestError, match="is no name for a user; begin with a letter"):
        service.users.add(User(name=name, **NAMELESS))


def test_users_there_are_and_are_not(service: Service, ann: UserCaller) -> None:
    with pytest.raises(RequestError, match="there is a user ann already; layerflow users renew"):
        service.users.add(User(name="ann", **NAMELESS))
    for change in (service.users.renew, service.users.remove):
        with pytest.raises(RequestError, match=re.escape("there is no user 'eve'; layerflow users list")):
            change("eve")
    assert [each.name for each in service.users.all()] == ["ann"]
