"""One thread beside the caller's that finishes what was begun: in order, in bounded memory, stopped with its caller."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import copy_context
from types import TracebackType
from typing import Any, Self, TypeVar

import torch
from torch.overrides import TorchFunctionMode

from layerflow.denoisers import raise_if
from layerflow.errors import Interrupted

T = TypeVar("T")

MAX_WAITING = 1  # jobs, besides the one at work
POLL_S = 0.05  # after which a thread that waits for the other looks whether to stop
SILENT_S = 60.0  # without a torch function or frame; a job that is in one of them cannot be stopped anyway


class Worker:
    """Within its block, runs jobs one after another on another thread.

    Only the caller's thread asks `stopped` and is told what is done, in order. What a job raises comes up there too, at
    the next look or at the end of the block, and no job after it is begun. An error of the caller's own waits for the
    jobs before it; a stop does not: the job at work ends before its next torch function or `raise_if(halted)`. While a
    job is silent `stopped` is not asked, so that who is asked can tell a thread that waits from one that hangs.
    """

    def __init__(self, device: torch.device, stopped: Callable[[], bool]) -> None:
        """Jobs compute on `device` with the numbers of the caller's own thread; on a GPU beside what it does there."""
        stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self._stopped = stopped
        self._halt = threading.Event()
        self._heard_at = time.monotonic()
        self._at_work: deque[tuple[Future[Any], Callable[[Any], None]]] = deque()
        self._thread = ThreadPoolExecutor(1, "layerflow", _settle, (torch.get_num_threads(), stream))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None or (isinstance(error, Exception) and not isinstance(error, Interrupted)):
                self.wait(0)
        finally:
            self._halt.set()
            self._thread.shutdown(cancel_futures=True)

    def halted(self) -> bool:
        """Whether a job should end where it is. To be asked by jobs."""
        self._heard_at = time.monotonic()
        return self._halt.is_set()

    def submit(self, job: Callable[[], T], done: Callable[[T], None]) -> None:
        """Has `job` done after those before it; `done` is called with what it returns, on the caller's thread."""
        self.wait(MAX_WAITING)
        future = self._thread.submit(copy_context().run, self._run, job)  # numpy's errstate is part of the context
        self._at_work.append((future, done))

    def look(self) -> None:
        """Tells of the jobs that are done by now. Raises what one of them raised."""
        while self._at_work and self._at_work[0][0].done():
            future, done = self._at_work.popleft()
            if future.exception() is not None:
                self._at_work.clear()  # those after it were not begun
            done(future.result())

    def wait(self, num_jobs: int) -> None:
        """Returns when at most `num_jobs` are left, `look`ing meanwhile. Raises Interrupted."""
        while len(self._at_work) > num_jobs:
            wait([self._at_work[0][0]], timeout=POLL_S)
            self._look_around()

    @contextmanager
    def holding(self, lock: threading.Lock) -> Iterator[None]:
        """Within it, the caller's thread has `lock`; `look`s while it waits for it. Raises Interrupted."""
        with _held(lock, self._look_around):
            yield

    @contextmanager
    def job_holding(self, lock: threading.Lock) -> Iterator[None]:
        """As `holding`, for a job."""
        with _held(lock, lambda: raise_if(self.halted)):
            yield

    def _look_around(self) -> None:
        self.look()
        if time.monotonic() - self._heard_at < SILENT_S:
            raise_if(self._stopped)

    def _run(self, job: Callable[[], T]) -> T:
        try:
            raise_if(self.halted)
            with Heeding(self.halted):
                return job()
        except BaseException:
            self._halt.set()
            raise


class Heeding(TorchFunctionMode):
    """Within it, no torch function of this thread begins once `halted`: a codec alone may take minutes."""

    def __init__(self, halted: Callable[[], bool]) -> None:
        self._halted = halted

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise_if(self._halted)
        return func(*args, **(kwargs or {}))


def _settle(num_threads: int, stream: torch.cuda.Stream | None) -> None:
    """Makes a new thread compute as another does; both settings are a thread's own."""
    torch.get_num_threads()  # a thread's first call takes over what any thread set last, and what it set itself is lost
    torch.set_num_threads(num_threads)
    if stream is not None:
        torch.cuda.set_stream(
            stream
        )  # and its device. What jobs are given is on the CPU, so there is nothing to wait for


@contextmanager
def _held(lock: threading.Lock, meanwhile: Callable[[], None]) -> Iterator[None]:
    while not lock.acquire(timeout=POLL_S):
        meanwhile()
    try:
        yield
    finally:
        lock.release()
