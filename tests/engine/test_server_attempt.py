"""One attempt at a job, in this process: how it may end, what is left for the next one, and what it says meanwhile."""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from queueing import open_store, told, worker
from rendering import contents, render, request, write_plate

from layerflow import exr, files, shots
from layerflow.cli.report import _shot_values
from layerflow.errors import OutputError
from layerflow.server.attempt import Make, Telling, Watch, attempt
from layerflow.server.errors import StoreError
from layerflow.server.folder import ServerFolder
from layerflow.server.leases import Lease, claim, requeue_lost
from layerflow.server.store import Store
from layerflow.wire import Event, Job, Progress, Request

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_plate(tmp_path_factory.mktemp("plate"))


@pytest.fixture(scope="module")
def undisturbed(tiny_model: Path, plate: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """11 frames in two windows."""
    folder = tmp_path_factory.mktemp("undisturbed")
    render(tiny_model, folder, plate=plate)
    return contents(folder)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(tmp_path / "jobs.sqlite3")
    folder_of(store).make()
    worker(store)
    return store


@pytest.fixture
def shot(tiny_model: Path, tmp_path: Path, plate: str) -> Request:
    return request(tiny_model, tmp_path / "out", plate=plate)


def folder_of(store: Store) -> ServerFolder:
    return ServerFolder(path=store.database.path.parent)


def go_on(store: Store, *, leaving: Callable[[], bool] = lambda: False, make: Make | None = None) -> Job:
    """The next job after one attempt at it."""
    lease = claim(store, "w")
    assert lease is not None
    attempt(lease, folder=folder_of(store), leaving=leaving, make=make)
    return store.get(lease.job.id)


def log(store: Store) -> str:
    return "".join(path.read_text() for path in folder_of(store).logs.iterdir())


class Power:
    """Goes off when a shot has said something a number of times: then its process is gone, and tells nobody."""

    class Cut(BaseException):
        pass

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kind: str, count: int) -> None:
        self.left, tell = count, Telling.tell

        def tell_or_die(telling: Telling, event: Event) -> None:
            tell(telling, event)
            self.left -= event.kind == kind
            if event.kind == kind and self.left == 0:
                raise self.Cut

        monkeypatch.setattr(Telling, "tell", tell_or_die)


def lose(store: Store) -> None:
    """One attempt in which the worker is lost, and a new worker of the same name."""
    with pytest.raises(Power.Cut):
        go_on(store)
    requeue_lost(store, "w", "killed by signal 9")
    worker(store)


def test_done_is_said_when_every_frame_was_read_back(store, shot, undisturbed, tmp_path, monkeypatch) -> None:
    verified: list[str] = []
    verify = exr.verify_frame
    monkeypatch.setattr(exr, "verify_frame", lambda path: verified.append(path.name) is None and verify(path))
    store.submit(shot)
    job = go_on(store)
    assert job.state == "done" and verified == sorted(undisturbed) and contents(tmp_path / "out") == undisturbed
    assert told(store)[:2] == ["queued", "running"]
    assert told(store)[2:4] == ["frame 4", "frame 11"] and told(store)[-2:] == ["checking the frames 0/0", "done"]
    assert "stage: loading model tiny" in log(store) and "done in" in log(store)


def test_frames_are_read_back_before_all_are_made(store, shot, undisturbed, monkeypatch) -> None:
    read, early = Counter[str](), list[bool]()
    first = threading.Event()
    verify = exr.verify_frame
    monkeypatch.setattr(exr, "verify_frame", lambda path: read.update([path.name]) or first.set() or verify(path))

    def make(*request: object, **options: Any) -> shots.ShotResult:
        result = shots.render(*request, **options)
        early.append(first.wait(20))
        return result

    store.submit(shot)
    assert go_on(store, make=make).state == "done" and early == [True]
    assert read == dict.fromkeys(undisturbed, 1)


def test_a_frame_that_cannot_be_read_back_fails_the_job(store, shot, undisturbed, tmp_path, monkeypatch) -> None:
    store.submit(shot)
    with monkeypatch.context() as patch:
        patch.setattr(exr, "verify_frame", lambda path: path.name != "dog.1004.exr")
        job = go_on(store)
    assert job.state == "failed" and "dog.1004.exr cannot be read back as it was written; check" in job.message
    assert job.result is None
    (tmp_path / "out" / "dog.1004.exr").write_bytes(b"half a frame")
    store.ask("retry", job.id)
    assert go_on(store).state == "done" and contents(tmp_path / "out") == undisturbed


def test_the_layers_of_their_own_are_read_back_too(store, shot, monkeypatch) -> None:
    store.submit(Request.from_dict({**shot.to_dict(), "per_layer": True}))
    monkeypatch.setattr(exr, "verify_frame", lambda path: path.name != "dog.foreground.1011.exr")
    assert "dog.foreground.1011.exr cannot be read back" in go_on(store).message


def test_what_is_done_is_told_as_the_command_line_tells_it(store, tiny_model, tmp_path) -> None:
    asked = request(tiny_model, tmp_path / "out", task="generate", per_layer=True, preview=True, num_frames=2)
    store.submit(asked)
    result = go_on(store).result
    expected = _shot_values(shots.render(asked, resume=True))
    assert result.keys() == expected.keys() and result["frames"] == [str(path) for path in expected["frames"]]
    assert result["preview_movie"] == str(expected["preview_movie"])


@pytest.mark.parametrize(("kind", "count"), [("stage", 1), ("stage", 2), ("step", 1), ("step", 5), ("frame", 1)])
def test_the_next_worker_goes_on_wherever_one_was_lost(store, shot, undisturbed, tmp_path, monkeypatch, kind, count):
    store.submit(shot)
    Power(monkeypatch, kind, count)
    lose(store)
    job = go_on(store)
    assert (job.state, job.attempts) == ("done", 2) and contents(tmp_path / "out") == undisturbed


def test_a_worker_that_was_lost_at_the_very_end_leaves_nothing_to_do(store, shot, undisturbed, tmp_path, monkeypatch):
    """Between the last frame and "done" the journal is gone already."""
    store.submit(shot)
    with monkeypatch.context() as patch:
        patch.setattr(Telling, "stage", lambda *_: (_ for _ in ()).throw(Power.Cut))
        patch.setattr(Telling, "tell", lambda telling, event: telling._lease.progress(Progress(stage=event.message)))
        lose(store)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    assert go_on(store).state == "done" and contents(tmp_path / "out") == undisturbed
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == times


def test_what_was_cut_off_before_it_began_begins_anew(store, shot, undisturbed, tmp_path, monkeypatch) -> None:
    """An older shot's journal lies there: it is not this job's, which replaces everything."""
    with pytest.raises(OSError, match="unplugged"):
        shots.render(Request.from_dict({**shot.to_dict(), "seed": 1}), on_event=unplug_at_step_5)
    store.submit(shot, overwrite=True)
    claim(store, "w")
    requeue_lost(store, "w", "killed by signal 9")  # while it was loading torch
    worker(store)
    assert go_on(store).state == "done" and contents(tmp_path / "out") == undisturbed


def unplug_at_step_5(event: Event) -> None:
    if (event.kind, event.done) == ("step", 5):
        raise OSError("unplugged")


@pytest.mark.parametrize(("kind", "count"), [("stage", 1), ("step", 2), ("step", 5), ("frame", 2)])
def test_frames_to_replace_are_not_taken_for_its_own(store, tiny_model, tmp_path, monkeypatch, kind, count) -> None:
    """The plate was rendered again under its old name, which the frames' headers cannot tell."""
    changing = write_plate(tmp_path / "plate")
    asked = request(tiny_model, tmp_path / "out", plate=changing)
    shots.render(asked)
    before = contents(tmp_path / "out")
    write_plate(tmp_path / "plate", dim=0.5)
    store.submit(asked, overwrite=True)
    Power(monkeypatch, kind, count)
    lose(store)
    assert go_on(store).state == "done"
    render(tiny_model, tmp_path / "fresh", plate=changing)
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh") != before


def test_frames_that_are_there_are_refused_the_first_time_only(store, shot, tmp_path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "dog.1003.exr").write_bytes(b"of somebody else")
    job = store.submit(shot)[0].id
    assert go_on(store).state == "failed" and "already there" in store.get(job).message
    assert contents(tmp_path / "out") == {"dog.1003.exr": b"of somebody else"}
    store.ask("retry", job)
    assert go_on(store).state == "failed" and contents(tmp_path / "out") == {"dog.1003.exr": b"of somebody else"}


def test_a_full_disk_fails_the_job_and_room_lets_it_go_on(store, shot, undisturbed, tmp_path, monkeypatch) -> None:
    sync = files.sync

    def full(path: Path) -> None:
        if "1010" in path.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(path)

    job = store.submit(shot)[0].id
    with monkeypatch.context() as patch:
        patch.setattr(files, "sync", full)
        assert go_on(store).state == "failed"
    assert "the disk is full" in store.get(job).message and "dog.1010.exr was not written" in store.get(job).message
    store.ask("retry", job)
    assert go_on(store).state == "done" and contents(tmp_path / "out") == undisturbed


def test_a_worker_that_has_to_leave_gives_its_job_back(store, shot, undisturbed, tmp_path) -> None:
    job = store.submit(shot)[0].id
    assert go_on(store, leaving=lambda: store.get(job).progress.done > 2).state == "queued"
    assert store.get(job).message.startswith("the server stopped; it goes on")
    assert go_on(store).state == "done" and contents(tmp_path / "out") == undisturbed


def test_something_unforeseen_is_a_plain_sentence_and_a_traceback_in_the_log(store, shot, monkeypatch) -> None:
    job = store.submit(shot)[0].id
    monkeypatch.setattr(Telling, "stage", lambda *_: {}["secret"])
    lease = claim(store, "w")
    assert not attempt(lease, folder=folder_of(store), leaving=lambda: False)
    message = "something went wrong that should not (KeyError); its log says where"
    assert (store.get(job).state, store.get(job).message) == ("failed", message)
    assert "KeyError: 'secret'" in log(store) and "Traceback" in log(store)


def test_a_queue_that_cannot_be_told_ends_the_worker(store, shot, monkeypatch) -> None:
    job, handlers = store.submit(shot)[0].id, [*logging.getLogger().handlers]
    monkeypatch.setattr(Lease, "progress", lambda *_: (_ for _ in ()).throw(StoreError("the disk is full")))
    with pytest.raises(StoreError):
        go_on(store)
    assert store.get(job).state == "running" and logging.getLogger().handlers == handlers


class Said:
    """A lease that only remembers."""

    def __init__(self) -> None:
        self.progresses: list[Progress] = []
        self.asked = self.signs = 0

    def progress(self, progress: Progress) -> None:
        self.progresses.append(progress)

    def here(self) -> None:
        self.signs += 1

    def held(self) -> bool:
        self.asked += 1
        return self.asked < 3


def test_steps_are_told_four_times_a_second_and_the_last_in_any_case() -> None:
    said, now = Said(), [100.0]
    telling = Telling(said, clock=lambda: now[0])
    for step in range(1, 101):
        telling.tell(Event("step", done=step, total=100))
        now[0] += 0.01
    assert [progress.done for progress in said.progresses] == [1, 26, 51, 76, 100]
    telling.tell(Event("stage", "making the preview"))
    assert said.progresses[-1] == Progress(stage="making the preview")


def test_the_queue_is_asked_four_times_a_second_at_most() -> None:
    said, now = Said(), [100.0]
    watch = Watch(said, lambda: False, clock=lambda: now[0])
    answers = []
    for _ in range(100):
        answers.append(watch.stopped())
        now[0] += 0.01
    assert said.asked == 3 and answers == [False] * 50 + [True] * 50
    assert said.signs == 1
    assert Watch(Said(), lambda: True).stopped()


def test_errors_of_the_engine_are_its_sentence(store, shot, monkeypatch) -> None:
    store.submit(shot)
    monkeypatch.setattr(shots, "render", lambda *_, **__: (_ for _ in ()).throw(OutputError("no room; make some")))
    assert go_on(store).message == "no room; make some"
