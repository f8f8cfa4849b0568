"""Streams of events over real sockets: each event once and in order, whoever reads how slowly."""

from __future__ import annotations

import random
import threading
import time
from contextlib import closing

import pytest
from guarded import Caller
from queueing import submit, worker
from serving import address_of, make_service, serving, shot, work

from layerflow.server import streams
from layerflow.server.errors import StoreError
from layerflow.server.leases import claim
from layerflow.server.settings import Limits
from layerflow.wire import Progress, errors, following
from layerflow.wire.client import Client

LONG_S = 60.0


@pytest.fixture(autouse=True)
def no_long_pauses(monkeypatch):
    monkeypatch.setattr(following, "_FIRST_PAUSE_S", 0.001)


@pytest.fixture
def service(tmp_path):
    return make_service(tmp_path, limits=Limits(streams=4, patience_s=0.5))


@pytest.fixture
def client(service):
    with serving(service) as client:
        yield client


def num_open(service):
    text = Caller(service).ask("GET", "/metrics").body.decode()
    return next(int(float(line.split()[1])) for line in text.splitlines() if line.startswith("layerflow_streams "))


def wait_for(condition):
    until = time.monotonic() + LONG_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def states(events):
    return [event.data["state"] for event in events if event.kind == "state"]


def test_a_stream_of_one_job_ends_with_its_final_state(service, client):
    job, other = client.submit(shot(service)), client.submit(shot(service, "cat"))
    thread = work(service)
    events = list(client.events(job.id, timeout_s=LONG_S))
    thread.join()
    assert states(events) == ["queued", "running", "done"]
    assert [event.kind for event in events if event.kind != "progress"] == [
        "state",
        "state",
        "frame",
        "warning",
        "state",
    ]
    assert {event.job for event in events} == {job.id} != {other.id}
    known = service.store.events_after(0, job=job.id)
    assert list(client.events(job.id, timeout_s=LONG_S)) == list(known)
    assert list(client.events(job.id, after=known[-2].id, timeout_s=LONG_S)) == [known[-1]]
    assert list(client.events(job.id, after=known[-1].id, timeout_s=LONG_S)) == []
    assert client.wait(job.id, timeout_s=LONG_S).state == "done"


def test_a_stream_of_a_job_that_is_over_has_its_end_though_nobody_has_looked_since(service, client, monkeypatch):
    def sees_nothing(self, after):
        time.sleep(0.02)
        return [], after

    monkeypatch.setattr(streams.Streams, "_look", sees_nothing)
    job = client.submit(shot(service))
    everything = client.follow()
    watcher = threading.Thread(target=lambda: list(everything.events()), daemon=True)
    watcher.start()  # so that what is recent begins here, and stays as it is
    wait_for(lambda: num_open(service) == 1)
    work(service).join()
    known = service.store.events_after(0, job=job.id)
    for place in range(len(known)):
        assert list(client.events(job.id, after=known[place].id, timeout_s=LONG_S)) == list(known[place + 1 :])
    everything.stop()
    watcher.join(LONG_S)


def test_a_final_state_of_the_past_is_not_the_end(service, client):
    job = client.submit(shot(service))
    client.cancel(job.id)
    client.retry(job.id)
    thread = work(service)
    assert states(client.events(job.id, timeout_s=LONG_S)) == ["queued", "cancelled", "queued", "running", "done"]
    thread.join()


def test_what_a_client_does_is_told_though_nobody_polls(service, client, monkeypatch):
    monkeypatch.setattr(streams, "POLL_S", LONG_S)
    job = client.submit(shot(service))
    with closing(client.events(job.id, timeout_s=LONG_S)) as events:
        assert next(events).data["state"] == "queued"
        for act, state in ((client.pause, "paused"), (client.resume, "queued"), (client.cancel, "cancelled")):
            act(job.id)
            assert next(events).data["state"] == state


def test_more_than_is_kept_comes_whole(service, client, monkeypatch):
    monkeypatch.setattr(streams, "KEPT", 8)
    monkeypatch.setattr(streams, "PAGE", 5)
    jobs = submit(service.store, *(f"dog{number}" for number in range(40)))
    with closing(client.events(timeout_s=LONG_S)) as events:
        assert [next(events).job for _ in jobs] == jobs
        more = submit(service.store, *(f"cat{number}" for number in range(40)))
        assert [next(events).job for _ in more] == more
        with closing(client.events(after=60, timeout_s=LONG_S)) as late:
            assert [next(late).id for _ in range(20)] == list(range(61, 81))


def test_a_long_event_is_kept_for_nobody(service, client, monkeypatch):
    monkeypatch.setattr(streams, "KEPT_BYTES", 1)
    with closing(client.events(timeout_s=LONG_S)) as events:
        jobs = submit(service.store, "dog", "cat", "cow")
        assert [next(events).job for _ in jobs] == jobs


def test_the_end_of_the_longest_shot_is_heard(service, client):
    job = client.submit(shot(service))
    worker(service.store, "w")
    result = {"frames": [f"/shots/of/a/film/with/a/long/name/dog.{number:07d}.exr" for number in range(400_000)]}
    claim(service.store, "w").done(result)
    assert [event.data["result"] for event in client.events(job.id, timeout_s=LONG_S)][-1] == result


def test_every_reader_hears_every_event_once_while_the_queue_is_busy(service, client):
    """Three that listen from the start and one that comes and goes; only progress may be left out."""
    rng = random.Random(7)
    num_jobs = 12
    ids = submit(service.store, *(f"dog{number}" for number in range(num_jobs)))

    def make():
        worker(service.store, "w")
        for _ in ids:
            lease = claim(service.store, "w")
            for done in range(rng.randrange(1, 15)):
                lease.progress(Progress("Sampling", done, 20))
                time.sleep(rng.random() * 0.004)
            lease.done({})

    heard = {}

    def listen(name):
        after, heard[name] = None, []
        while states(heard[name]).count("done") < num_jobs:
            with closing(Client(address_of(service)).events(after=after, timeout_s=LONG_S)) as events:
                for event in events:
                    heard[name].append(event)
                    after = event.id
                    if name == "restless" or states(heard[name]).count("done") == num_jobs:
                        break

    threads = [threading.Thread(target=listen, args=(name,)) for name in ("a", "b", "c", "restless")]
    threads.append(threading.Thread(target=make))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lasting = [event for event in service.store.events_after(0) if event.kind != "progress"]
    for events in heard.values():
        assert [event for event in events if event.kind != "progress"] == lasting
        numbers = [event.id for event in events]
        assert numbers == sorted(set(numbers))


def test_one_look_serves_all_and_none_is_taken_for_nobody(service, client, monkeypatch):
    looking, looks, most = 0, 0, 0

    def last_event():
        nonlocal looking, looks, most
        looking, looks = looking + 1, looks + 1
        most = max(most, looking)
        time.sleep(0.02)
        looking -= 1
        return 0

    monkeypatch.setattr(service.store, "last_event", last_event)
    caller = Caller(service)
    connections = [caller.connect() for _ in range(3)]
    time.sleep(3 * streams.POLL_S)
    assert looks == 0
    for connection in connections:
        connection.sendall(caller.head("GET", "/v1/events"))
    wait_for(lambda: num_open(service) == 3 and looks > 5)
    assert most == 1
    for connection in connections:
        connection.close()
    wait_for(lambda: num_open(service) == 0)
    looks = 0
    time.sleep(5 * streams.POLL_S)
    assert looks <= 2  # the one under way, and one that found nobody


def test_the_heart_beats_where_nothing_happens(service, client, monkeypatch):
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.05)
    caller = Caller(service)
    with caller.connect() as connection:
        connection.sendall(caller.head("GET", "/v1/events", accept="text/event-stream"))
        heard = b""
        while heard.count(b":\n\n") < 3:
            heard += connection.recv(1000)
    assert b"text/event-stream" in heard


def test_the_heart_beats_for_a_job_that_waits_while_others_are_made(service, client, monkeypatch):
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.2)
    busy, waiting = client.submit(shot(service)), client.submit(shot(service, "cat"))
    over = threading.Event()

    def make():
        worker(service.store, "w")
        lease = claim(service.store, "w")
        assert lease.job.id == busy.id
        done = 0
        while not over.wait(0.02):
            done += 1
            lease.progress(Progress("Sampling", done, 10_000))

    thread = threading.Thread(target=make)
    thread.start()
    caller = Caller(service)
    with caller.connect() as connection:
        connection.settimeout(LONG_S / 6)
        connection.sendall(caller.head("GET", f"/v1/jobs/{waiting.id}/events"))
        heard = b""
        try:
            while heard.count(b"\n:\n\n") < 2:
                heard += connection.recv(1000)
        finally:
            over.set()
            thread.join()


def test_only_so_many_at_a_time(service, client):
    caller = Caller(service)
    connections = [caller.connect() for _ in range(4)]
    for connection in connections:
        connection.sendall(caller.head("GET", "/v1/events"))
    wait_for(lambda: num_open(service) == 4)
    answer = caller.ask("GET", "/v1/events")
    assert (answer.status, answer.kind) == (429, "TooManyStreams")
    connections.pop().close()
    wait_for(lambda: num_open(service) == 3)
    job = client.submit(shot(service))
    client.cancel(job.id)
    assert states(client.events(job.id, timeout_s=LONG_S)) == ["queued", "cancelled"]
    for connection in connections:
        connection.close()
    wait_for(lambda: num_open(service) == 0)


def test_one_who_does_not_read_is_let_go_and_keeps_nobody_waiting(service, client):
    caller = Caller(service)
    with caller.connect() as lazy, closing(client.events(timeout_s=LONG_S)) as events:
        lazy.sendall(caller.head("GET", "/v1/events"))
        wait_for(lambda: num_open(service) == 1)
        prompt = "a dog " * 1600
        ids = []
        until = time.monotonic() + LONG_S
        while not ids or num_open(service) == 2:
            assert time.monotonic() < until
            ids += submit(service.store, *(f"{len(ids) + number}" for number in range(20)), blended=prompt)
            service.store.max_waiting += 20
            assert [next(events).job for _ in range(20)] == ids[-20:]
        assert num_open(service) == 1  # and the one who reads is still there
    wait_for(lambda: num_open(service) == 0)


def test_nothing_is_sent_to_one_who_is_gone(service, client, caplog):
    job = submit(service.store, "dog")[0]
    for _ in range(100):
        service.store.ask("pause", job)
        service.store.ask("resume", job)
    for _ in range(20):
        with closing(client.events(timeout_s=LONG_S)) as events:
            next(events)
    wait_for(lambda: num_open(service) == 0)
    assert [record.getMessage() for record in caplog.records] == []


def test_streams_end_when_the_server_leaves(service, client):
    caller = Caller(service)
    with caller.connect() as connection:
        connection.sendall(caller.head("GET", "/v1/events"))
        wait_for(lambda: num_open(service) == 1)
        service.leaving.set()
        heard = connection.recv(10_000)
        while not heard.endswith(b"0\r\n\r\n"):
            heard += connection.recv(10_000)
    assert client.get(submit(service.store, "dog")[0]).state == "queued"
    with pytest.raises(errors.Busy, match="on its way down"):
        client.submit(shot(service))
    answer = caller.ask("GET", "/v1/events")
    assert (answer.status, answer.kind) == (503, "LeavingError")


def test_a_server_that_came_back_is_heard_on(tmp_path, service):
    address = []
    with serving(service):
        address.append(address_of(service))
        client = Client(address[0], find_again=lambda: address[0])
        job = client.submit(shot(service))
        events = client.events(job.id, timeout_s=LONG_S)
        assert next(events).data["state"] == "queued"
    again = make_service(tmp_path)
    with serving(again), closing(events):
        address[0] = address_of(again)
        thread = work(again)
        assert states(events) == ["running", "done"]
        thread.join()


def test_a_queue_that_cannot_be_read_for_a_while(service, client, monkeypatch):
    job = client.submit(shot(service))
    with closing(client.events(job.id, timeout_s=LONG_S)) as events:
        next(events)
        look = service.store.last_event
        broken = [StoreError("the disk is slow; try again")] * 3

        def last_event():
            if broken:
                raise broken.pop()
            return look()

        monkeypatch.setattr(service.store, "last_event", last_event)
        client.cancel(job.id)
        assert next(events).data["state"] == "cancelled"
    assert len(broken) < 3


def test_a_stream_that_cannot_be_read_for_a_while(service, client, monkeypatch):
    job = client.submit(shot(service))
    client.cancel(job.id)
    read = service.store.owned_events_after
    broken = [StoreError("the disk is slow; try again")] * 2

    def owned_events_after(*args, **kwargs):
        if broken:
            raise broken.pop()
        return read(*args, **kwargs)

    monkeypatch.setattr(service.store, "owned_events_after", owned_events_after)
    assert states(client.events(job.id, timeout_s=LONG_S)) == ["queued", "cancelled"]
    assert not broken
