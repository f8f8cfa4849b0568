"""The queue on disk: who may do what to a job, in which order, and what is told of it."""

from __future__ import annotations

import json
import multiprocessing
import os
import sqlite3
import threading
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from queueing import Clock, generate, open_store, submit, told, worker

from layerflow.server import database
from layerflow.server import pages as pages_module
from layerflow.server.database import MIGRATIONS
from layerflow.server.errors import JobNotFoundError, JobStateError, QueueFullError, StoreError
from layerflow.server.folder import ServerFolder
from layerflow.server.leases import claim, requeue_dead, requeue_lost
from layerflow.server.rows import KEEP_EVENTS_S, find, turn
from layerflow.server.store import Store
from layerflow.wire import Job, Progress
from layerflow.wire.jobs import STATES, VERBS, can_go, state_after


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Store:
    return open_store(tmp_path / "jobs.sqlite3", clock=clock, max_waiting=50)


def in_state(store: Store, state: str) -> str:
    """The id of a job that went to `state` the way a server takes it there."""
    job = store.submit(generate(state))[0].id
    if state in ("paused", "cancelled"):
        store.ask({"paused": "pause", "cancelled": "cancel"}[state], job)
    elif state != "queued":
        lease = claim(store, worker(store))
        assert lease is not None
        if state != "running":
            {"done": lambda: lease.done({}), "failed": lambda: lease.failed("no")}[state]()
    assert store.get(job).state == state
    return job


def order(store: Store) -> list[str]:
    return [Path(job["request"]["output"]).name.partition(".")[0] for job in store.page().jobs]


def test_a_job_is_kept_as_it_came(store: Store, tmp_path: Path, clock: Clock) -> None:
    job, new = store.submit(generate("dög"), label="nuke:a.nk/LayerFlow1", overwrite=True, key="k")
    assert new and job.state == "queued" and job.created_at == clock.now and job.attempts == 0
    assert (job.request, job.label, job.overwrite) == (generate("dög"), "nuke:a.nk/LayerFlow1", True)
    assert open_store(tmp_path / "jobs.sqlite3").get(job.id) == store.get(job.id) == job
    assert [Job.from_dict(values) for values in store.page().jobs] == [job]
    assert json.loads(json.dumps(job.to_dict())) == store.page().jobs[0]
    assert told(store) == ["queued"] and store.events_after(0)[0].data["request"]["output"] == "dög.%04d.exr"


def test_the_same_key_gives_the_same_job(store: Store) -> None:
    first, _ = store.submit(generate(), key="k")
    assert store.submit(generate(), key="k") == (first, False)
    assert store.submit(generate(), key="other")[1] and store.submit(generate())[1] and store.submit(generate())[1]
    for changed in ({"label": "x"}, {"overwrite": True}):
        with pytest.raises(JobStateError, match="came with another request before; use a new one"):
            store.submit(generate(), key="k", **changed)
    with pytest.raises(JobStateError):
        store.submit(generate(seed=1), key="k")
    assert len(store.page().jobs) == 4


def test_a_full_queue_refuses(store: Store) -> None:
    jobs = submit(store, *map(str, range(50)))
    with pytest.raises(QueueFullError, match="50 jobs are waiting already"):
        submit(store, "one more")
    store.ask("cancel", jobs[3])
    submit(store, "one more")
    assert store.counts() == {"queued": 50, "running": 0, "paused": 0, "done": 0, "failed": 0, "cancelled": 1}


@pytest.mark.parametrize(("verb", "state"), [*product(VERBS, STATES)])
def test_every_verb_in_every_state(store: Store, verb: str, state: str) -> None:
    job = in_state(store, state)
    events = told(store)
    if state in VERBS[verb][0]:
        assert store.ask(verb, job) == store.get(job)
        assert store.get(job).state == state_after(verb, state) and told(store) == [*events, store.get(job).state]
    else:
        with pytest.raises(JobStateError, match=f"a {state} job cannot {verb}; only"):
            store.ask(verb, job)
        assert store.get(job).state == state and told(store) == events


@pytest.mark.parametrize(("before", "after"), [*product(STATES, STATES)])
def test_every_step_is_held_against_the_table(store: Store, before: str, after: str) -> None:
    job = in_state(store, before)
    events = told(store)
    with store.database.write() as connection:
        if can_go(before, after):
            assert turn(connection, find(connection, job), after, 0.0).state == after
            return
        with pytest.raises(JobStateError, match=f"a {before} job cannot become {after}"):
            turn(connection, find(connection, job), after, 0.0)
    assert store.get(job).state == before and told(store) == events


def test_jobs_that_are_not_there(store: Store) -> None:
    for ask in (
        lambda: store.get("f" * 32),
        lambda: store.ask("cancel", "x' OR 1 --"),
        lambda: store.move("f" * 32, None),
        lambda: store.page(after="f" * 32),
    ):
        with pytest.raises(JobNotFoundError, match="there is no job"):
            ask()


def test_pages(store: Store) -> None:
    jobs = submit(store, "a", "b", "c", "d", "e")
    store.ask("pause", jobs[1])
    store.submit(generate("f"), label="mine")
    first = store.page(limit=2)
    assert [job["id"] for job in first.jobs] == jobs[:2] and first.next == jobs[1]
    assert [job["id"] for job in store.page(limit=4, after=first.next).jobs][:3] == jobs[2:]
    assert store.page(limit=4, after=first.next).next is None
    assert [job["id"] for job in store.page(state="paused").jobs] == [jobs[1]]
    assert [job["label"] for job in store.page(label="mine").jobs] == ["mine"]
    assert store.page(state="done") == store.page(label="nobody's") and not store.page(state="done").jobs


def test_a_page_of_long_shots_ends_early_and_no_job_is_left_out(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_module, "PAGE_SIZE", 10_000)
    jobs = submit(store, "a", "b", "c", "d", "e")
    own = worker(store)
    for job in jobs[:3]:
        lease = claim(store, own)
        assert lease is not None and lease.job.id == job
        lease.done({"frames": ["/shots/dog.0001.exr"] * 500})
    pages = [store.page()]
    while pages[-1].next is not None:
        pages.append(store.page(after=pages[-1].next))
    assert [[job["id"] for job in page.jobs] for page in pages] == [jobs[:1], jobs[1:2], jobs[2:3], jobs[3:]]


def test_moving(store: Store) -> None:
    a, b, c, d = submit(store, "a", "b", "c", "d")
    store.move(d, a)
    assert order(store) == ["d", "a", "b", "c"]
    store.move(a, c)
    assert order(store) == ["d", "b", "a", "c"]
    store.move(b, None)
    assert order(store) == ["d", "a", "c", "b"]
    assert store.move(c, c) == store.get(c) and order(store) == ["d", "a", "c", "b"]
    assert claim(store, worker(store)).job.id == d
    for job, before in ((d, a), (a, d)):
        with pytest.raises(JobStateError, match="a running job has no place in the queue"):
            store.move(job, before)


def test_moving_again_and_again_between_two(store: Store) -> None:
    submit(store, "a", "b")
    _, c, d = submit(store, "finished", "c", "d")
    for _ in range(60):  # the room between two jobs is halved 20 times, then made anew
        store.move(d, c)
        c, d = d, c
    assert sorted(order(store)) == ["a", "b", "c", "d", "finished"] and order(store)[:3] == ["a", "b", "finished"]
    assert {event.data["position"] for event in store.events_after(0)} >= {job["position"] for job in store.page().jobs}


def test_work_is_taken_up_in_order_by_one_worker_each(store: Store) -> None:
    a, b, c = submit(store, "a", "b", "c")
    store.move(c, a)
    leases = [claim(store, worker(store, name)) for name in "xyz"]
    assert [lease.job.id for lease in leases] == [c, a, b] and all(lease.held() for lease in leases)
    assert [lease.job.attempts for lease in leases] == [1, 1, 1] and leases[0].job.device == "cpu"
    assert claim(store, worker(store, "idle")) is None


def test_a_job_goes_where_its_device_is(store: Store) -> None:
    wanted = {"a": "cuda:1", "b": "cuda", "c": "auto", "d": "cpu", "e": "cuda:7"}
    jobs = {name: store.submit(generate(name, device=device))[0].id for name, device in wanted.items()}
    for device in ("cuda:0", "cuda:1"):
        worker(store, device, device)
    taken = {name: [] for name in ("cuda:0", "cuda:1")}
    for name in ("cuda:0", "cuda:0", "cuda:0", "cuda:1", "cuda:0", "cuda:0"):
        if lease := claim(store, name):
            taken[name].append(next(key for key, job in jobs.items() if job == lease.job.id))
    # Nobody has the seventh: the worker that takes it lets it fail with the engine's sentence.
    assert taken == {"cuda:0": ["b", "c", "d", "e"], "cuda:1": ["a"]}


def test_the_same_frames_have_many_names(store: Store, tmp_path: Path) -> None:
    (tmp_path / "shots").mkdir()
    (tmp_path / "link").symlink_to("shots")
    same = ("shots/dog.%04d.exr", "shots/dog.####.exr", "shots/dog.%05d.exr", "link/dog.%04d.exr", "shots/./dog.#.exr")
    for name in (*same, "shots/dog_%04d.exr"):
        store.submit(replace(generate(), output=str(tmp_path / name)))
    leases = [claim(store, worker(store, name)) for name in "xyz"]
    outputs = [Path(lease.job.request.output).name for lease in leases if lease is not None]
    assert outputs == ["dog.%04d.exr", "dog_%04d.exr"]


def test_two_jobs_never_write_the_same_frames_at_once(store: Store) -> None:
    first, second = submit(store, "same", "same")
    lease = claim(store, worker(store, "x"))
    assert lease.job.id == first and claim(store, worker(store, "y")) is None
    lease.done({})
    assert claim(store, "y").job.id == second


def test_progress_is_told_once_and_kept_small(store: Store) -> None:
    (job,) = submit(store, "a")
    lease = claim(store, worker(store))
    for step in range(100):
        lease.progress(Progress(stage="sampling", done=step, total=100))
    assert told(store) == ["queued", "running", "sampling 99/100"] and store.get(job).progress.done == 99
    lease.frame("a.0004.exr", Progress(frames_done=4, frames_total=8))
    lease.frame("a.0004.exr", Progress(frames_done=4, frames_total=8))  # as a shot that goes on says it again
    for _ in range(2):
        lease.warning("the plate is odd")
    lease.done({"frames": ["a.0001.exr"]})
    assert told(store)[3:] == ["frame 4", "warning the plate is odd", "done"]
    assert store.get(job).warnings == ("the plate is odd",) and store.get(job).result == {"frames": ["a.0001.exr"]}


def test_events_go_on_from_any_of_them(store: Store) -> None:
    first, second = submit(store, "a", "b")
    store.ask("cancel", first)
    ids = [event.id for event in store.events_after(0)]
    assert ids == sorted(set(ids)) and store.last_event() == ids[-1]
    assert [event.id for event in store.events_after(ids[0])] == ids[1:]
    assert [event.job for event in store.events_after(0, job=second)] == [second]
    assert [event.id for event in store.events_after(0, limit=2)] == ids[:2]


def test_old_events_are_forgotten_and_their_numbers_not_used_again(store: Store, clock: Clock) -> None:
    assert store.last_event() == 0
    first, second = submit(store, "a", "b")
    claim(store, worker(store)).done({})
    last = store.last_event()
    clock.now += KEEP_EVENTS_S + 1
    store.ask("cancel", second)
    assert told(store, first) == ["done"] and told(store, second) == ["queued", "cancelled"]
    assert store.last_event() == last + 1


def test_jobs_that_ended_long_ago_are_forgotten(store: Store, clock: Clock) -> None:
    done, held, queued = submit(store, "a", "b", "c")
    claim(store, worker(store, "x")).done({})
    slow = claim(store, worker(store, "y"))
    store.ask("cancel", held)
    clock.now += 100
    store.forget(clock.now - 200)
    assert len(store.page().jobs) == 3
    store.forget(clock.now)
    assert [job["id"] for job in store.page().jobs] == [held, queued] and not told(store, done)
    slow.give_back()
    store.forget(clock.now)
    assert [job["id"] for job in store.page().jobs] == [queued]


def test_old_logs_are_dropped(tmp_path: Path) -> None:
    folder = ServerFolder(path=tmp_path / "server")
    folder.make()
    for name, age in (("a", 0), ("b", 100)):
        folder.log_of(name).write_text("said")
        os.utime(folder.log_of(name), (1000.0 - age, 1000.0 - age))
    folder.drop_logs(950.0)
    assert [path.name for path in folder.logs.iterdir()] == ["a.log"]


@pytest.mark.parametrize(("verb", "state"), [("cancel", "cancelled"), ("pause", "paused")])
def test_what_a_worker_says_of_a_job_that_was_taken_from_it_changes_nothing(store: Store, verb, state) -> None:
    (job,) = submit(store, "a")
    lease = claim(store, worker(store))
    store.ask(verb, job)
    events = told(store)
    assert not lease.held()
    lease.progress(Progress(done=1, total=2))
    lease.frame("a.0001.exr", Progress(frames_done=1, frames_total=8))
    lease.warning("late")
    lease.done({})
    assert store.get(job).state == state and told(store) == events


@pytest.mark.parametrize(("away", "back"), [("cancel", "retry"), ("pause", "resume")])
def test_nobody_takes_a_job_up_before_its_worker_has_let_go(store: Store, away, back) -> None:
    (job,) = submit(store, "a")
    slow = claim(store, worker(store, "slow"))
    store.ask(away, job)
    store.ask(back, job)
    assert claim(store, worker(store, "quick")) is None and not slow.held()
    slow.give_back()
    assert store.get(job).state == "queued"
    second = claim(store, "quick")
    assert second.job.id == job and second.job.attempts == 2
    slow.failed("late")
    assert second.held()


def test_a_lost_worker_gives_its_job_back_and_the_third_fails_it(store: Store) -> None:
    job, other = submit(store, "a", "b")
    for attempt, name in enumerate("xyz", start=1):
        assert store.get(job).state == "queued"
        lease = claim(store, worker(store, name))
        assert lease.job.id == job and lease.job.attempts == attempt and lease.begun == (attempt > 1)
        lease.progress(Progress(stage="sampling"))
        assert requeue_lost(store, name, "killed by signal 9")
        assert not lease.held()
        expected = "its worker was killed by signal 9; it goes on" if attempt < 3 else "it lost 3 workers in a row, the"
        assert store.get(job).message.startswith(expected)
    assert store.get(job).state == "failed" and store.get(other).state == "queued"
    assert store.ask("retry", job).message == "" and order(store) == ["b", "a"]
    assert not requeue_lost(store, "never there", "killed by signal 9")


def test_losses_count_only_while_nothing_is_done_between(store: Store) -> None:
    (job,) = submit(store, "a")
    for attempt in range(5):
        claim(store, worker(store, str(attempt))).frame("f", Progress(frames_done=attempt + 1, frames_total=8))
        requeue_lost(store, str(attempt), "killed by signal 9")
    assert store.get(job).state == "queued"


def test_a_lost_worker_leaves_a_cancelled_job_as_it_is(store: Store) -> None:
    (job,) = submit(store, "a")
    claim(store, worker(store, "x"))
    store.ask("cancel", job)
    requeue_lost(store, "x", "killed by signal 9")
    assert store.get(job).state == "cancelled"
    store.ask("retry", job)
    assert claim(store, worker(store, "y")).job.id == job


def test_workers_whose_process_is_gone_are_found(store: Store) -> None:
    jobs = submit(store, "a", "b", "c")
    for name in "xyz":
        claim(store, worker(store, name))
    with store.database.write() as connection:  # a number that is not there, and one that another process has now
        connection.execute("UPDATE worker SET pid = 2147483647 WHERE id = 'x'")
        connection.execute("UPDATE worker SET born_at = born_at - 60 WHERE id = 'y'")
    requeue_dead(store, besides=["x"])
    assert [store.get(job).state for job in jobs] == ["running", "queued", "running"]
    requeue_dead(store)
    assert [store.get(job).state for job in jobs] == ["queued", "queued", "running"]


def test_a_job_is_not_blamed_for_the_end_of_its_server(store: Store) -> None:
    (job,) = submit(store, "a")
    for name in "vwxyz":
        claim(store, worker(store, name))
        with store.database.write() as connection:
            connection.execute("UPDATE worker SET pid = 2147483647")
        requeue_dead(store)
    assert store.get(job).state == "queued" and store.get(job).attempts == 5
    assert store.get(job).message == "its worker was gone with the server; it goes on from its last saved step"


def test_the_file_of_an_older_version_is_brought_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new = open_store(tmp_path / "new.sqlite3")
    (job,) = submit(new, "dog")
    with new.database.read() as connection:
        columns = dict(connection.execute("SELECT * FROM job").fetchone())
    del columns["owner"]  # which came later
    with monkeypatch.context() as patch:
        patch.setattr(database, "MIGRATIONS", MIGRATIONS[:1])
        with open_store(tmp_path / "jobs.sqlite3").database.write() as connection:
            names, values = ", ".join(columns), ", ".join(f":{name}" for name in columns)
            connection.execute(f"INSERT INTO job ({names}) VALUES ({values})", columns)
    store = open_store(tmp_path / "jobs.sqlite3")
    worker(store)
    lease = claim(store, "w")
    assert lease is not None and (lease.job.id, lease.job.state, lease.owner) == (job, "running", "")


def test_a_file_of_a_newer_version_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite3"
    open_store(path)
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(StoreError, match="is of a newer LayerFlow; install that one"):
        open_store(path)


def test_a_file_that_is_no_queue_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database, and long enough to have a header of one" * 20)
    with pytest.raises(StoreError, match="is not a file of LayerFlow"):
        open_store(tmp_path / "notes.txt")
    with pytest.raises(StoreError, match="cannot be opened; check its folder"):
        open_store(tmp_path / "no folder" / "jobs.sqlite3")


def test_a_full_disk_is_a_sentence_and_changes_nothing(store: Store) -> None:
    (job,) = submit(store, "a")
    with store.database.read() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match=r"the disk is full, the queue in .* was not changed"):
        submit(store, *(["b"] * 50))
    assert store.get(job).state == "queued" and told(store, job) == ["queued"]


def test_a_queue_that_is_on_disk_is_locked_for_as_long_as_it_takes(store: Store) -> None:
    """A transaction waits for another one's end."""
    done: list[str] = []

    def submit_one() -> None:
        done.extend(submit(store, "a"))
        store.database.close()

    with store.database.write():
        thread = threading.Thread(target=submit_one)
        thread.start()
        thread.join(0.2)
        assert not done
    thread.join()
    assert done


def take_all(path: Path, name: str) -> list[str]:
    """The jobs that one process gets hold of while others try as well."""
    store = Store(path)
    own, taken = worker(store, name), []
    while lease := claim(store, own):
        taken.append(lease.job.id)
        lease.progress(Progress(done=1, total=2))
        lease.done({})
    return taken


def test_processes_that_start_at_once_share_the_work(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite3"
    jobs = submit(open_store(path), *map(str, range(120)))
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        shares = pool.starmap(take_all, [(path, f"w{index}") for index in range(4)], chunksize=1)
    assert sorted(job for share in shares for job in share) == sorted(jobs)
    assert {job["attempts"] for job in open_store(path).page(state="done", limit=200).jobs} == {1}


def test_threads_share_one_store(tmp_path: Path) -> None:
    store = Store(tmp_path / "jobs.sqlite3")
    jobs = submit(store, *map(str, range(60)))
    taken: list[str] = []

    def work(name: str) -> None:
        taken.extend(take_all(store.database.path, name))

    threads = [threading.Thread(target=work, args=(f"w{index}",)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(jobs)
