"""The process that has jobs made by a Ray cluster: it takes up as many as makers are free for, a thread each."""

from __future__ import annotations

import argparse
import logging
import threading
from functools import partial
from typing import TYPE_CHECKING

from layerflow.cluster.share import ClusterOptions
from layerflow.server import lifeline
from layerflow.server.bounds import Bounds
from layerflow.server.errors import StoreError
from layerflow.server.folder import ServerFolder
from layerflow.server.leases import Lease, claim, register
from layerflow.server.store import Store

if TYPE_CHECKING:
    from layerflow.cluster.pool import Pool

DEVICE = "ray"  # as jobs say where they were made
POLL_S = 0.1  # after which it looks for a job
TIDY_EVERY_S = 30.0
MAX_JOBS = 64  # at a time
STOP_S = 28.0  # for threads to come to their end; a little less than the process has

logger = logging.getLogger("layerflow.server")


def serve(folder: ServerFolder, worker: str, options: ClusterOptions, leaving: threading.Event, bounds: Bounds) -> None:
    """Works until `leaving` is set. Raises LayerFlowError, StoreError where the queue cannot be read or told."""
    from layerflow.cluster.pool import Pool

    store = Store(folder.queue)
    pool = Pool(options)
    lifeline.heed_signals(leaving)  # again: Ray has its own way with them
    register(store, worker, DEVICE)
    logger.info("room for %d workers of %s", pool.capacity(), pool.share)
    desk = Desk(folder, pool, bounds, leaving)
    while not leaving.is_set():
        lease = claim(store, worker) if desk.has_room() else None
        if lease is not None:
            desk.take(lease)
        leaving.wait(POLL_S)
    desk.close()


class Desk:
    """The jobs at hand, a thread each."""

    def __init__(self, folder: ServerFolder, pool: Pool, bounds: Bounds, leaving: threading.Event) -> None:
        self._folder, self._pool, self._bounds, self._leaving = folder, pool, bounds, leaving
        self._threads: list[threading.Thread] = []
        self._tidied = 0

    def has_room(self) -> bool:
        """Whether a job more would have a maker; also where there can be none, so that the job says so."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        self._tidied += 1
        if self._tidied * POLL_S >= TIDY_EVERY_S:
            self._tidied = 0
            self._pool.tidy()
        return len(self._threads) < MAX_JOBS and (self._pool.num_free() > 0 or not self._pool.capacity())

    def take(self, lease: Lease) -> None:
        """Has a job made."""
        thread = threading.Thread(target=self._make, args=(lease,), name=f"job-{lease.job.id[:8]}", daemon=True)
        thread.start()
        self._threads.append(thread)

    def close(self) -> None:
        """Waits for the jobs to be back in the queue, what is made of them kept."""
        for thread in self._threads:
            thread.join(STOP_S)

    def _make(self, lease: Lease) -> None:
        from layerflow.cluster.spread import render
        from layerflow.server.attempt import attempt

        job = lease.job.id
        wanted = partial(self._folder.is_looked_at, job)
        make = partial(render, pool=self._pool, job=job, wants_glimpse=wanted)
        try:
            attempt(lease, folder=self._folder, leaving=self._leaving.is_set, bounds=self._bounds, make=make)
        except StoreError as error:
            logger.error("%s", error)
            self._leaving.set()  # whoever comes next finds the job in nobody's hand


def main() -> None:
    """Runs the dispatcher. The queue is told everything; what else there is to say goes to stderr."""
    parser = argparse.ArgumentParser(prog="layerflow.server.dispatcher", description="Has a Ray cluster make jobs.")
    parser.add_argument("--cluster", required=True, help="how it is used, as JSON")
    lifeline.add_options(parser)
    arguments = parser.parse_args()
    options = ClusterOptions.from_json(arguments.cluster)
    folder, bounds = ServerFolder(path=arguments.folder), Bounds.of_options(arguments)
    lifeline.work(lambda leaving: serve(folder, arguments.id, options, leaving, bounds))


if __name__ == "__main__":
    main()
