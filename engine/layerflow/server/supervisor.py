"""Keeps one worker process alive for each device, and takes what a lost one had in hand."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO

from layerflow.cluster.share import ClusterOptions
from layerflow.server.bounds import UNBOUNDED, Bounds
from layerflow.server.errors import StoreError
from layerflow.server.folder import ServerFolder
from layerflow.server.leases import requeue_dead, requeue_lost
from layerflow.server.ledger import Ledger
from layerflow.server.pulse import HUNG_S, Pulse
from layerflow.server.store import Store
from layerflow.server.uploads import drop_old

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 60.0  # between starts of a worker that never gets ready
LOOK_EVERY_S = 1.0  # for workers that hang, or are of a server before and may take a moment to end
TIDY_EVERY_S = 3600.0
KEEP_S = 30 * 86400.0  # jobs that ended, and logs
DRAIN_S = 35.0  # a little longer than a worker gives itself
KEEP_PREVIEWS_S = 3600.0  # after somebody last looked at them
KEEP_UPLOADS_S = 86400.0  # that do not go on
MAX_LOG_BYTES = 1_000_000

logger = logging.getLogger("layerflow.server")


@dataclass(kw_only=True)
class Post:
    """The place of one device, and the worker that is there now."""

    device: str
    program: Sequence[str]  # a module and its own options
    worker: str = ""  # its id
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Supervisor:
    """Workers for `devices`, from `start` to `drain`. Each has its thread here, which waits for its process.

    They hold their jobs to `bounds`. With a `cluster` there is one worker in place of all, which has jobs made there.
    """

    def __init__(
        self,
        folder: ServerFolder,
        store: Store,
        devices: Sequence[str],
        *,
        bounds: Bounds = UNBOUNDED,
        cluster: ClusterOptions | None = None,
        python: Sequence[str] = (sys.executable, "-P"),
        hung_s: float = HUNG_S,
    ) -> None:
        self._bounds = bounds
        self._folder, self._store, self._python = folder, store, python
        self.posts = tuple(_posts(devices, cluster))
        self._pulse = Pulse(store, hung_s)
        self._leaving = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Requeues what a server that died had running, and starts the workers. Raises StoreError."""
        requeue_dead(self._store)
        jobs = [lambda post=post: self._keep(post) for post in self.posts]
        for job in (*jobs, self._keep_house):
            thread = threading.Thread(target=job, daemon=True)
            thread.start()
            self._threads.append(thread)

    def drain(self, timeout_s: float = DRAIN_S) -> None:
        """Has every worker stop at its next step, its job back in the queue, and returns when all are gone."""
        self._leaving.set()
        for post in self.posts:
            with post.lock:
                if post.process and post.process.stdin:
                    post.process.stdin.close()
        until = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        for post in self.posts:
            if post.process and post.process.poll() is None:
                post.process.kill()
        for thread in self._threads:
            thread.join()

    def _keep(self, post: Post) -> None:
        """Starts the worker of `post` again whenever it ends, after a pause that grows while it never gets ready."""
        pause = FIRST_PAUSE_S
        while self._start(post):
            assert post.process is not None and post.process.stdin is not None
            code = post.process.wait()
            fate = self._pulse.fate_of(post.worker) or _fate(code)
            post.process.stdin.close()
            ready = self._requeue(post.worker, fate)
            pause = FIRST_PAUSE_S if ready else min(2 * pause, LONGEST_PAUSE_S)
            self._leaving.wait(pause)
            post.restarts += 1

    def _start(self, post: Post) -> bool:
        """Whether there is a new worker; there is none once everybody is to leave."""
        post.worker = uuid.uuid4().hex
        command = [*self._python, "-m", *post.program, "--folder", str(self._folder.path)]
        command += ["--id", post.worker, *self._bounds.options]
        with post.lock, self._log(post.device) as log:
            if self._leaving.is_set():
                return False
            post.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
        return True

    def _log(self, device: str) -> IO[bytes]:
        path = self._folder.log_of_worker(device)
        if path.is_file() and path.stat().st_size > MAX_LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return path.open("ab")

    def _requeue(self, worker: str, fate: str) -> bool:
        """Whether the worker that is gone was ever ready. What it had in hand is queued once that can be written."""
        while True:
            try:
                return requeue_lost(self._store, worker, fate)
            except StoreError as error:
                logger.error("%s", error)
                if self._leaving.wait(LOOK_EVERY_S):
                    return False  # the next server finds that the process is gone

    def _keep_house(self) -> None:
        tidy_at = 0.0
        while not self._leaving.wait(LOOK_EVERY_S):
            try:
                self._pulse.look(LOOK_EVERY_S)
                requeue_dead(self._store, besides=[post.worker for post in self.posts])
                if time.monotonic() >= tidy_at:
                    tidy_at = time.monotonic() + TIDY_EVERY_S
                    self._store.forget(time.time() - KEEP_S)
                    self._folder.drop_logs(time.time() - KEEP_S)
                    self._folder.drop_previews(time.time() - KEEP_PREVIEWS_S)
                    if self._bounds.spaces is not None:
                        drop_old(Ledger(self._store.database), self._bounds.spaces, time.time() - KEEP_UPLOADS_S)
            except (StoreError, OSError) as error:
                logger.error("%s", error)


def _posts(devices: Sequence[str], cluster: ClusterOptions | None) -> Iterator[Post]:
    if cluster is not None:
        yield Post(device="ray", program=("layerflow.server.dispatcher", "--cluster", cluster.to_json()))
        return
    for device in devices:
        yield Post(device=device, program=("layerflow.server.worker", "--device", device))


def _fate(code: int) -> str:
    """How a process went, in words that follow "was"."""
    return f"killed by signal {-code}" if code < 0 else f"gone with exit code {code}"
