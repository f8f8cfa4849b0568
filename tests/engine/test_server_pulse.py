"""Workers that hang: told from those that only take long, and ended once."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from queueing import open_store, submit, worker

from layerflow.server.attempt import SIGN_EVERY_S, Watch
from layerflow.server.leases import Lease, claim, kill, requeue_lost, signs_of_life
from layerflow.server.pulse import Pulse
from layerflow.server.store import Store
from layerflow.wire import Progress


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "jobs.sqlite3")


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """One that would go on for long."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as child:
        yield child
        child.kill()


def lent(store: Store, process: subprocess.Popen[bytes] | None = None) -> Lease:
    """A job in the hand of the worker w, which is that process."""
    worker(store)
    submit(store, "dog")
    lease = claim(store, "w")
    assert lease is not None
    if process is not None:
        values = {"pid": process.pid, "born_at": psutil.Process(process.pid).create_time()}
        with store.database.write() as connection:
            connection.execute("UPDATE worker SET pid = :pid, born_at = :born_at", values)
    return lease


def pass_time(pulse: Pulse, seconds: int) -> None:
    for _ in range(seconds):
        pulse.look(1.0)


def test_a_silent_one_is_ended_when_its_time_is_up(store, process, caplog) -> None:
    lent(store, process)
    pulse = Pulse(store, hung_s=60.0)
    pass_time(pulse, 60)  # of which the first hears of it
    assert process.poll() is None and pulse.fate_of("w") is None
    with caplog.at_level(logging.ERROR):
        pass_time(pulse, 5)
    assert process.wait(10) != 0 and pulse.fate_of("w") == "ended after 1 minutes without a sign of life"
    assert caplog.text.count("gave no sign of life for 60 s") == 1


@pytest.mark.parametrize(
    "say",
    [
        lambda lease: lease.here(),
        lambda lease: lease.progress(Progress(stage="sampling", done=1, total=2)),
        lambda lease: lease.warning("an odd plate"),
        lambda lease: Watch(lease, lambda: False).stopped(),
    ],
)
def test_whatever_it_says_is_a_sign(store, process, say) -> None:
    lease, pulse = lent(store, process), Pulse(store, hung_s=60.0)
    for _ in range(5):
        pass_time(pulse, 50)
        store.clock.now += 50
        say(lease)
    assert process.poll() is None


def test_one_whose_job_was_cancelled_and_does_not_let_go_is_ended_too(store, process) -> None:
    """Its device would be lost to all other jobs."""
    lease, pulse = lent(store, process), Pulse(store, hung_s=60.0)
    store.ask("cancel", lease.job.id)
    pass_time(pulse, 62)
    assert process.wait(10) != 0


def test_one_that_waits_for_a_job_owes_no_sign(store, process) -> None:
    lease, pulse = lent(store, process), Pulse(store, hung_s=60.0)
    lease.failed("no such plate; give another")
    pass_time(pulse, 200)
    assert signs_of_life(store) == {} and process.poll() is None


def test_another_process_of_the_same_number_is_left_alone(store, process) -> None:
    lent(store, process)
    with store.database.write() as connection:
        connection.execute("UPDATE worker SET born_at = born_at - 1")
    kill(store, "w")
    kill(store, "nobody")
    assert process.poll() is None


def test_the_job_of_a_hung_worker_says_so(store) -> None:
    lease = lent(store)
    requeue_lost(store, "w", "ended after 30 minutes without a sign of life")
    after = store.get(lease.job.id)
    assert after.state == "queued"
    assert (
        after.message
        == "its worker was ended after 30 minutes without a sign of life; it goes on from its last saved step"
    )


def test_signs_are_written_now_and_then(store) -> None:
    lease, now = lent(store), [0.0]
    watch = Watch(lease, lambda: False, clock=lambda: now[0])
    written = set()
    for _ in range(100):
        watch.stopped()
        store.clock.now += 0.1
        now[0] += 0.1
        written.add(signs_of_life(store)["w"])
    assert len(written) == 10.0 / SIGN_EVERY_S
