"""Faults that meet a worker at work, in a real process: what becomes of its job, its frames, and the job after it.

The numbers are those of the catalogue of faults in docs/server.md.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from rendering import contents, header, request, write_plate

from layerflow import exr, shots
from layerflow.server.folder import ServerFolder
from layerflow.server.store import Store
from layerflow.server.supervisor import Supervisor
from layerflow.wire import Job

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

PATIENCE_S = 120.0  # on a busy machine


@dataclass(kw_only=True)
class Bench:
    """A queue, its workers, and what goes wrong in them."""

    folder: ServerFolder
    store: Store
    supervisor: Supervisor
    faults: Path
    model: Path
    plate: str
    out: Path

    def submit(self, name: str = "shot", *, overwrite: bool = False, **changes: Any) -> str:
        """11 frames in two windows of three steps."""
        asked = request(self.model, self.out / name, **{"plate": self.plate, **changes})
        return self.store.submit(asked, overwrite=overwrite)[0].id

    def over(self, job: str) -> Job:
        self.until(lambda: self.store.get(job).is_final)
        return self.store.get(job)

    def until(self, true: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not true():
            assert time.monotonic() < end, "it did not happen"
            time.sleep(0.01)

    def wrong(self, fault: str, where: str) -> None:
        (self.faults / fault).write_text(where)

    def right(self) -> None:
        for fault in self.faults.iterdir():
            fault.unlink()

    @property
    def worker(self) -> psutil.Process:
        process = self.supervisor.posts[0].process
        assert process is not None
        return psutil.Process(process.pid)

    def messages(self, job: str) -> list[str]:
        events = self.store.events_after(0, job=job)
        return [event.data["message"] for event in events if event.kind == "state"]

    def whole_frames(self, name: str = "shot") -> dict[str, bytes]:
        """What carries a final name; every one can be read."""
        found = {path.name: path for path in (self.out / name).glob("*.exr") if not path.name.startswith(".")}
        assert all(exr.verify_frame(path) for path in found.values())
        return {path_name: path.read_bytes() for path_name, path in found.items()}


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_plate(tmp_path_factory.mktemp("plate"))


@pytest.fixture(scope="module")
def undisturbed(tiny_model: Path, plate: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("undisturbed")
    shots.render(request(tiny_model, out, plate=plate))
    return contents(out)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, plate: str) -> Iterator[Bench]:
    """One worker for all of these."""
    place = tmp_path_factory.mktemp("bench")
    folder, faults = ServerFolder(path=place / "server"), place / "faults"
    folder.make()
    faults.mkdir()
    store = Store(folder.queue)
    program = (sys.executable, str(Path(__file__).with_name("faulty_worker.py")), str(faults))
    supervisor = Supervisor(folder, store, ["cpu"], python=program)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        supervisor.start()
        yield Bench(
            folder=folder, store=store, supervisor=supervisor, faults=faults, model=tiny_model, plate=plate, out=place
        )
        supervisor.drain()


@pytest.fixture
def bench(running: Bench, tmp_path: Path) -> Bench:
    running.right()
    running.out = tmp_path
    return running


def test_fault_17_a_disk_that_fills_while_a_frame_is_written(bench, undisturbed) -> None:
    job = bench.submit()
    bench.wrong("full disk", ".dog.1010.exr.part")
    failed, restarts = bench.over(job), bench.supervisor.posts[0].restarts
    assert failed.state == "failed" and "the disk is full" in failed.message and "free some space" in failed.message
    assert sorted(bench.whole_frames()) == sorted(undisturbed)[:9]
    assert not list((bench.out / "shot").glob(".*.part"))
    bench.right()
    bench.store.ask("retry", job)
    assert bench.over(job).state == "done" and contents(bench.out / "shot") == undisturbed
    assert bench.supervisor.posts[0].restarts == restarts


def test_fault_17_a_disk_without_room_for_what_is_left(bench, undisturbed) -> None:
    bench.wrong("no room", "anywhere")
    job = bench.submit()
    assert "free some space" in bench.over(job).message and not (bench.out / "shot" / "dog.1001.exr").exists()
    bench.right()
    bench.store.ask("retry", job)
    assert bench.over(job).state == "done" and contents(bench.out / "shot") == undisturbed


@pytest.mark.parametrize(
    "where",
    [
        pytest.param("step 0", marks=pytest.mark.long),
        pytest.param("step 2", marks=pytest.mark.long),
        ".dog.1003.exr.part",
        pytest.param(".dog.1011.exr.part", marks=pytest.mark.long),
        "checking dog.1005.exr",
    ],
)
def test_fault_18_kill_9_wherever_it_strikes(bench, undisturbed, where) -> None:
    """Nothing half-written has a final name, "done" is never said too early, and nothing is left behind."""
    bench.wrong("killed", where)
    job = bench.submit()
    bench.until(lambda: len(bench.messages(job)) >= 3)  # queued, running, and queued again
    assert bench.whole_frames().items() <= undisturbed.items()
    after = bench.over(job)
    assert (after.state, after.attempts) == ("done", 2) and contents(bench.out / "shot") == undisturbed
    assert "its worker was killed by signal 9; it goes on from its last saved step" in bench.messages(job)
    assert [event.data["state"] for event in bench.store.events_after(0, job=job) if event.kind == "state"] == [
        "queued", "running", "queued", "running", "done"
    ]  # fmt: skip


def test_fault_19_memory_that_runs_out_once(bench, undisturbed) -> None:
    bench.wrong("memory", "step 1")
    pid = bench.worker.pid
    first = bench.over(bench.submit())
    assert first.state == "done" and any("the shot goes on under balanced" in text for text in first.warnings)
    assert header(bench.out / "shot" / "dog.1001.exr")["layerflow:memory"] == "full, balanced"
    second = bench.over(bench.submit("second", memory="full"))
    assert second.state == "done" and bench.worker.pid == pid


def test_fault_19_memory_that_is_never_enough(bench, undisturbed) -> None:
    bench.wrong("memory", "always")
    job, pid = bench.submit(), bench.worker.pid
    failed = bench.over(job)
    assert failed.state == "failed" and failed.message.startswith("there is not enough memory for this shot; close")
    assert not bench.whole_frames()
    bench.right()
    assert bench.over(bench.submit("next")).state == "done" and contents(bench.out / "next") == undisturbed
    assert bench.worker.pid == pid


@pytest.mark.long
def test_fault_19_a_worker_that_the_system_kills_for_memory(bench, undisturbed) -> None:
    bench.wrong("killed", "at every step")
    job = bench.submit()
    failed = bench.over(job)
    assert (failed.state, failed.attempts) == ("failed", 3)
    assert failed.message.startswith("it lost 3 workers in a row, the last was killed by signal 9; look at its log")
    bench.right()
    assert bench.over(bench.submit("next")).state == "done" and contents(bench.out / "next") == undisturbed
    bench.store.ask("retry", job)
    assert bench.over(job).state == "done" and contents(bench.out / "shot") == undisturbed


def test_fault_27_what_is_left_of_another_shot_is_not_taken_for_its_own(bench, undisturbed) -> None:
    """Paused, its output taken by another with another seed, and resumed."""
    bench.wrong("full disk", ".dog.1010.exr.part")
    first = bench.submit()
    assert bench.over(first).state == "failed"
    bench.right()
    assert bench.over(bench.submit(seed=7, overwrite=True)).state == "done"
    others = bench.whole_frames()
    bench.store.ask("retry", first)
    refused = bench.over(first)
    assert refused.state == "failed" and "was made with other options" in refused.message
    assert bench.whole_frames() == others and not set(others.values()) & set(undisturbed.values())


@pytest.mark.long
def test_fault_28_memory_is_flat_from_job_to_job(bench) -> None:
    used = []
    for number in range(50):
        job = bench.submit(str(number), task="generate", plate=None, num_frames=2, seed=number, preview=False)
        assert bench.over(job).state == "done"
        used.append(bench.worker.memory_info().rss)
    assert max(used[40:]) - max(used[5:25]) < 6e6  # it comes and goes in pieces of 12 MB


def test_fault_29_a_frame_that_the_disk_lost_is_no_success(bench, undisturbed) -> None:
    bench.wrong("lost by the disk", ".dog.1003.exr.part")
    job = bench.submit()
    failed = bench.over(job)
    assert failed.state == "failed" and "dog.1003.exr cannot be read back as it was written" in failed.message
    bench.store.ask("retry", job)
    assert bench.over(job).state == "done" and contents(bench.out / "shot") == undisturbed
