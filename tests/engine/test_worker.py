"""Jobs on a thread of their own: in order, one waiting at most, and what they raise."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from layerflow import worker as module
from layerflow.errors import Interrupted, OutputError
from layerflow.worker import MAX_WAITING, POLL_S, SILENT_S, Worker

CPU = torch.device("cpu")


def never() -> bool:
    return False


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("layerflow")]


def fail() -> None:
    raise OutputError("the disk is full; free some space")


def toil() -> None:
    while True:
        torch.zeros(1)


def test_jobs_are_done_in_order_elsewhere_and_told_here() -> None:
    told: list[tuple[int, str, str]] = []
    here = threading.current_thread().name
    with Worker(CPU, never) as worker:
        for number in range(5):
            worker.submit(
                lambda number=number: (number, threading.current_thread().name),
                lambda made: told.append((*made, threading.current_thread().name)),
            )
    assert [number for number, _, _ in told] == [0, 1, 2, 3, 4]
    assert {by for _, by, _ in told} == {"layerflow_0"} and {to for _, _, to in told} == {here}
    assert not threads()


def test_no_more_than_one_job_waits() -> None:
    gate, submitted, asked = threading.Event(), [], []

    def stopped() -> bool:
        asked.append(len(submitted))
        if len(asked) == 3:  # by now nothing else would come
            gate.set()
        return False

    with Worker(CPU, stopped) as worker:
        for number in range(4):
            worker.submit(gate.wait, lambda _: None)
            submitted.append(number)
    assert asked[:3] == [1 + MAX_WAITING] * 3


def test_nobody_is_asked_while_a_job_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is asked takes it for a sign of life."""
    now, asked, silent = [0.0], [], threading.Event()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def job() -> int:
        silent.wait()
        time.sleep(10 * POLL_S)
        meanwhile = len(asked)
        while len(asked) == meanwhile:
            torch.zeros(1)
        return meanwhile

    def stopped() -> bool:
        asked.append(1)
        if len(asked) == 3:
            now[0] = SILENT_S
            silent.set()
        return False

    counted: list[int] = []
    with Worker(CPU, stopped) as worker:
        worker.submit(job, counted.append)
    assert counted == [3] and len(asked) > 3


def test_a_job_computes_as_its_caller_does() -> None:
    before, seen = torch.get_num_threads(), []
    torch.set_num_threads(3)
    try:
        with np.errstate(divide="raise"), Worker(CPU, never) as worker:
            worker.submit(lambda: (torch.get_num_threads(), np.geterr()["divide"]), seen.append)
    finally:
        torch.set_num_threads(before)
    assert seen == [(3, "raise")]


def test_a_job_keeps_to_it_whatever_its_caller_does_meanwhile() -> None:
    before, seen, changed = torch.get_num_threads(), [], threading.Event()
    torch.set_num_threads(3)

    def job() -> int:
        assert changed.wait(10)
        return torch.get_num_threads()

    try:
        with Worker(CPU, never) as worker:
            worker.submit(threading.Event().is_set, lambda _: None)
            worker.wait(0)  # its thread is there
            torch.set_num_threads(1)
            changed.set()
            worker.submit(job, seen.append)
    finally:
        torch.set_num_threads(before)
    assert seen == [3]


@pytest.mark.parametrize("own", [None, ValueError("of the caller")])
def test_what_a_job_raises_comes_up_here_and_nothing_is_begun_after_it(own: ValueError | None) -> None:
    begun: list[int] = []
    gate = threading.Event()
    with pytest.raises(OutputError, match="disk is full"), Worker(CPU, never) as worker:
        worker.submit(lambda: (gate.wait(), fail()), begun.append)
        worker.submit(lambda: begun.append(2), begun.append)
        gate.set()
        if own:
            raise own
    assert not begun and not threads()


def test_it_comes_up_in_a_look() -> None:
    done = threading.Event()
    with Worker(CPU, never) as worker:
        worker.submit(lambda: (done.set(), fail()), lambda _: None)
        done.wait()
        with pytest.raises(OutputError):
            while True:
                worker.look()
    assert not threads()


def test_an_error_of_the_caller_waits_for_the_jobs_before_it() -> None:
    gate, told = threading.Event(), []
    with pytest.raises(ValueError, match="of the caller"), Worker(CPU, lambda: bool(gate.set())) as worker:
        worker.submit(gate.wait, told.append)
        worker.submit(lambda: 2, told.append)
        raise ValueError("of the caller")
    assert told == [True, 2]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, Interrupted])
def test_a_stop_ends_a_job_that_does_not_look(stop: type[BaseException]) -> None:
    begun, told = threading.Event(), []
    with pytest.raises(stop), Worker(CPU, never) as worker:
        worker.submit(lambda: (begun.set(), toil()), told.append)
        worker.submit(lambda: told.append("begun"), told.append)
        begun.wait()
        raise stop
    assert not told and not threads()


@pytest.mark.parametrize("wait", [lambda worker, lock: worker.wait(0), lambda worker, lock: take(worker, lock)])
def test_a_stop_is_heard_while_waiting_for_a_job(wait: Callable[[Worker, threading.Lock], None]) -> None:
    lock, begun = threading.Lock(), threading.Event()

    def job() -> None:
        with worker.job_holding(lock):
            begun.set()
            toil()

    with pytest.raises(Interrupted), Worker(CPU, begun.is_set) as worker:
        worker.submit(job, lambda _: None)
        begun.wait()
        wait(worker, lock)
    assert not threads() and not lock.locked()


def take(worker: Worker, lock: threading.Lock) -> None:
    with worker.holding(lock):
        raise AssertionError("the job has it")


def test_a_job_that_waits_for_the_caller_s_lock_is_stopped() -> None:
    lock, begun = threading.Lock(), threading.Event()

    def job() -> None:
        begun.set()
        with worker.job_holding(lock):
            raise AssertionError("the caller has it")

    with lock, pytest.raises(KeyboardInterrupt), Worker(CPU, never) as worker:
        worker.submit(job, lambda _: None)
        begun.wait()
        raise KeyboardInterrupt
    assert not threads()


def test_a_gpu_works_beside_its_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA is played: one stream for all jobs, made here for the device of this thread, and used there."""
    made: list[Any] = []
    used: list[Any] = []
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: made.append((device, here())) or "a stream")
    monkeypatch.setattr(torch.cuda, "set_stream", lambda stream: used.append((stream, here())))

    def here() -> str:
        return threading.current_thread().name

    with Worker(torch.device("cuda"), never) as worker:
        for _ in range(3):
            worker.submit(lambda: None, lambda _: None)
    assert made == [(torch.device("cuda"), here())] and used == [("a stream", "layerflow_0")]
