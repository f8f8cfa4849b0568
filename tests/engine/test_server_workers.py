"""Real worker processes: killed, cancelled, paused, drained, orphaned; the frames are those of an undisturbed run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from rendering import contents, frames, request, write_plate

from layerflow import shots
from layerflow.server.folder import ServerFolder
from layerflow.server.store import Store
from layerflow.server.supervisor import Supervisor
from layerflow.wire import Job, Request

pytestmark = pytest.mark.usefixtures("one_thread")

PATIENCE_S = 120.0  # on a busy machine
STEPS = 200


@pytest.fixture(scope="module", autouse=True)
def one_thread_each() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@dataclass(frozen=True, kw_only=True)
class Server:
    folder: ServerFolder
    store: Store
    supervisor: Supervisor


@pytest.fixture
def folder(tmp_path: Path) -> ServerFolder:
    own = ServerFolder(path=tmp_path / "server")
    own.make()
    return own


@pytest.fixture
def store(folder: ServerFolder) -> Store:
    return Store(folder.queue)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that runs through several tests: a worker takes seconds to start."""
    folder = ServerFolder(path=tmp_path_factory.mktemp("server"))
    folder.make()
    store = Store(folder.queue)
    with working(folder, store) as supervisor:
        yield Server(folder=folder, store=store, supervisor=supervisor)


@contextmanager
def working(folder: ServerFolder, store: Store, num_workers: int = 1, **options: float) -> Iterator[Supervisor]:
    supervisor = Supervisor(folder, store, ["cpu"] * num_workers, **options)
    supervisor.start()
    try:
        yield supervisor
    finally:
        supervisor.drain()


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def settled(store: Store, *jobs: str) -> list[Job]:
    """The jobs when nothing more happens to them."""
    until(lambda: all(store.get(job).is_final for job in jobs))
    return [store.get(job) for job in jobs]


def steps_done(store: Store, job: str) -> int:
    return store.get(job).progress.done


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_plate(tmp_path_factory.mktemp("plate"))


@pytest.fixture
def shot(tiny_model: Path, tmp_path: Path, plate: str) -> Request:
    """11 frames in two windows, each of which takes longer than a worker takes to be told to stop."""
    return request(tiny_model, tmp_path / "out", plate=plate, steps=STEPS)


@pytest.fixture(scope="module")
def undisturbed(tiny_model: Path, plate: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("undisturbed")
    shots.render(request(tiny_model, out, plate=plate, steps=STEPS))
    return contents(out)


def test_a_job_is_done_when_its_frames_are(server, shot, undisturbed, tmp_path) -> None:
    (job,) = settled(server.store, server.store.submit(shot)[0].id)
    assert (job.state, job.attempts, job.device, job.message) == ("done", 1, "cpu", "")
    assert contents(tmp_path / "out") == undisturbed
    assert sorted(Path(path).name for path in job.result["frames"]) == sorted(undisturbed)
    assert job.progress.frames_done == 11 and job.finished_at >= job.started_at >= job.created_at
    kinds = [event.kind for event in server.store.events_after(0, job=job.id)]
    assert kinds.count("state") == 3 and kinds.count("frame") == 2 and kinds.count("progress") == 1
    assert "stage: loading model tiny" in server.folder.log_of(job.id).read_text()


def test_cancel_and_retry(server, shot, undisturbed, tmp_path) -> None:
    store, restarts = server.store, server.supervisor.posts[0].restarts
    job = store.submit(shot)[0].id
    until(lambda: store.get(job).progress.frames_done == 4)
    store.ask("cancel", job)
    other = store.submit(Request.from_dict({**shot.to_dict(), "output": str(tmp_path / "other/a.%04d.exr")}))[0].id
    assert settled(store, other)[0].state == "done"  # the same worker is free again
    left = contents(tmp_path / "out")
    assert store.get(job).state == "cancelled" and left != undisturbed
    assert all(left[name] == undisturbed[name] for name in undisturbed if name <= "dog.1004.exr")
    store.ask("retry", job)
    assert settled(store, job)[0].state == "done" and server.supervisor.posts[0].restarts == restarts
    assert contents(tmp_path / "out") == undisturbed


@pytest.mark.skipif(os.name == "nt", reason="priorities are classes on Windows")
def test_a_worker_of_the_cpu_gives_way_to_other_programs(server, shot) -> None:
    settled(server.store, server.store.submit(shot)[0].id)
    workers = [each for each in psutil.Process().children() if "layerflow.server.worker" in each.cmdline()]
    assert [each.nice() for each in workers] == [psutil.Process().nice() + 10]


def test_pause_and_resume(server, shot, undisturbed, tmp_path) -> None:
    job = server.store.submit(shot)[0].id
    until(lambda: steps_done(server.store, job) > 5)
    assert server.store.ask("pause", job).state == "paused"
    time.sleep(1.0)
    assert server.store.get(job).state == "paused" and contents(tmp_path / "out") != undisturbed
    server.store.ask("resume", job)
    assert settled(server.store, job)[0].state == "done" and contents(tmp_path / "out") == undisturbed


def test_a_shot_that_cannot_be_made_fails_with_its_sentence(server, tiny_model, tmp_path) -> None:
    bad = request(tiny_model, tmp_path / "out", plate=str(tmp_path / "no.%04d.exr"))
    (job,) = settled(server.store, server.store.submit(bad)[0].id)
    assert job.state == "failed" and "no.%04d.exr" in job.message


@pytest.mark.long
def test_kill_9_of_the_worker(server, shot, undisturbed, tmp_path) -> None:
    store, post = server.store, server.supervisor.posts[0]
    job, restarts = store.submit(shot)[0].id, post.restarts
    until(lambda: steps_done(store, job) > STEPS + 20)  # in the second window
    post.process.kill()
    (after,) = settled(store, job)
    assert (after.state, after.attempts) == ("done", 2) and post.restarts == restarts + 1
    assert contents(tmp_path / "out") == undisturbed
    told = [event.data["message"] for event in store.events_after(0, job=job) if event.kind == "state"]
    assert "its worker was killed by signal 9; it goes on from its last saved step" in told


@pytest.mark.long
def test_three_killed_workers_fail_the_job(server, shot, undisturbed, tmp_path) -> None:
    store = server.store
    job = store.submit(shot)[0].id
    for attempt in (1, 2, 3):
        until(lambda attempt=attempt: store.get(job).attempts == attempt and steps_done(store, job) > 5)
        server.supervisor.posts[0].process.kill()
        until(lambda: store.get(job).state != "running")
    assert store.get(job).state == "failed" and "3 workers in a row" in store.get(job).message
    assert all(data == undisturbed[name] for name, data in frames(tmp_path / "out").items())


@pytest.mark.long
def test_a_worker_told_to_end_by_the_system_leaves_cleanly(server, shot, undisturbed, tmp_path) -> None:
    store = server.store
    job = store.submit(shot)[0].id
    until(lambda: steps_done(store, job) > 5)
    server.supervisor.posts[0].process.send_signal(signal.SIGTERM)
    (after,) = settled(store, job)
    assert (after.state, after.attempts) == ("done", 2) and contents(tmp_path / "out") == undisturbed
    told = [event.data["message"] for event in store.events_after(0, job=job) if event.kind == "state"]
    assert not any("its worker was" in message for message in told)


@pytest.mark.slow
def test_draining_keeps_the_job_and_starting_again_brings_it_back(folder, store, shot, undisturbed, tmp_path) -> None:
    job = store.submit(shot)[0].id
    with working(folder, store) as supervisor:
        until(lambda: steps_done(store, job) > 5)
    assert supervisor.posts[0].process.returncode == 0
    assert store.get(job).state == "queued" and store.get(job).message.startswith("the server stopped; it goes on")
    assert (tmp_path / "out" / ".dog.layerflow").is_dir()
    with working(folder, store):
        assert settled(store, job)[0].state == "done"
    assert contents(tmp_path / "out") == undisturbed


SERVES = """
import signal, sys
from pathlib import Path
from layerflow.server.folder import ServerFolder
from layerflow.server.store import Store
from layerflow.server.supervisor import Supervisor

folder = ServerFolder(path=Path(sys.argv[1]))
supervisor = Supervisor(folder, Store(folder.queue), ["cpu"])
supervisor.start()
assert "torch" not in sys.modules
signal.pause()
"""


@pytest.mark.slow
def test_kill_9_of_the_server(folder, store, shot, undisturbed, tmp_path) -> None:
    job = store.submit(shot)[0].id
    with subprocess.Popen([sys.executable, "-c", SERVES, str(folder.path)]) as server:
        until(lambda: steps_done(store, job) > 5)
        (worker,) = psutil.Process(server.pid).children()
        server.kill()
    with working(folder, store):
        assert settled(store, job)[0].state == "done"
    assert contents(tmp_path / "out") == undisturbed
    until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)  # by itself, with its parent


@pytest.mark.long
def test_two_workers_share_the_queue(folder, store, tiny_model, tmp_path) -> None:
    shots_ = [request(tiny_model, tmp_path / str(index), task="generate", num_frames=2) for index in range(8)]
    jobs = [store.submit(each)[0].id for each in shots_]
    with working(folder, store, num_workers=2):
        after = settled(store, *jobs)
    assert {(job.state, job.attempts) for job in after} == {("done", 1)}


@pytest.mark.long
def test_a_worker_that_hangs_is_ended_and_its_job_goes_on(folder, store, shot, undisturbed, tmp_path) -> None:
    job = store.submit(shot)[0].id
    with working(folder, store, hung_s=12.0) as supervisor:
        until(lambda: steps_done(store, job) > 5)
        supervisor.posts[0].process.send_signal(signal.SIGSTOP)
        assert settled(store, job)[0].state == "done"
    assert contents(tmp_path / "out") == undisturbed
    told = [event.data["message"] for event in store.events_after(0, job=job) if event.kind == "state"]
    assert any("without a sign of life; it goes on from its last saved step" in message for message in told)


@pytest.mark.slow
def test_a_worker_that_cannot_start_is_tried_again(folder, store) -> None:
    supervisor = Supervisor(folder, store, ["no such device"])
    supervisor.start()
    log = folder.log_of_worker("no such device")
    until(lambda: log.is_file() and "there is no device 'no such device' here" in log.read_text())
    until(lambda: supervisor.posts[0].restarts == 1)
    supervisor.drain()
