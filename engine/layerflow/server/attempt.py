"""One attempt at one job: rendered, watched for whoever wants it stopped, verified, and told of whatever happens."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, replace
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from layerflow import shots
from layerflow.denoisers import raise_if
from layerflow.edits import stages
from layerflow.errors import Interrupted, LayerFlowError, PlateError
from layerflow.server.bounds import UNBOUNDED, Bounds
from layerflow.server.checking import Checks
from layerflow.server.errors import StoreError
from layerflow.server.folder import ServerFolder
from layerflow.server.leases import Lease
from layerflow.server.ledger import Ledger
from layerflow.server.links import check_links, check_size
from layerflow.server.previewing import Previews
from layerflow.server.results import files_of
from layerflow.server.spaces import Space
from layerflow.shot import Shot
from layerflow.wire import Event, Job, Progress, Request

TELL_EVERY_S = 0.25  # of progress that only counts on, and of asking whether the job is still wanted
SIGN_EVERY_S = 2.0  # of life, where there is nothing else to tell
MAX_LOG_BYTES = 1_000_000  # and as much again of what came before

Make = Callable[..., shots.ShotResult]

logger = logging.getLogger("layerflow.server")
_at_hand: ContextVar[str | None] = ContextVar("job", default=None)  # where one process has several


class Telling:
    """Passes a shot's events on to the queue and the log: counts now and then, everything else at once."""

    def __init__(self, lease: Lease, clock: Callable[[], float] = time.monotonic) -> None:
        self._lease, self._clock = lease, clock
        self._progress, self._next = Progress(), 0.0

    def tell(self, event: Event) -> None:
        """Takes one event of the shot."""
        if event.kind == "step":
            self._progress = replace(self._progress, stage="sampling", done=event.done, total=event.total)
            self._say(at_once=event.done == event.total)
            return
        logger.info("%s: %s", event.kind, event.message)
        if event.kind == "stage":
            self.stage(event.message)
        elif event.kind == "frame":
            self._progress = replace(self._progress, frames_done=event.done, frames_total=event.total)
            self._lease.frame(event.message, self._progress)
        elif event.kind == "warning":
            self._lease.warning(event.message)

    def stage(self, name: str) -> None:
        """Opens a stage that counts nothing yet."""
        self._progress = replace(self._progress, stage=name, done=0, total=0)
        self._say(at_once=True)

    def _say(self, *, at_once: bool) -> None:
        if at_once or self._clock() >= self._next:
            self._lease.progress(self._progress)
            self._next = self._clock() + TELL_EVERY_S


class Watch:
    """Whether to stop: the worker has to leave, or the job was taken from it. Asked thousands of times a second.

    That it asks is a sign of life, which is passed on now and then.
    """

    def __init__(self, lease: Lease, leaving: Callable[[], bool], clock: Callable[[], float] = time.monotonic) -> None:
        self._lease, self._leaving, self._clock = lease, leaving, clock
        self._held, self._next, self._next_sign = True, 0.0, 0.0

    def stopped(self) -> bool:
        """What the queue said at most a quarter of a second ago."""
        now = self._clock()
        if self._held and now >= self._next:
            self._held = self._lease.held()
            self._next = now + TELL_EVERY_S
        if now >= self._next_sign:
            self._lease.here()
            self._next_sign = now + SIGN_EVERY_S
        return self._leaving() or not self._held


class Settled:
    """A block after which the job is no longer in hand, however it ends. `sound` unless something unforeseen happened.

    A StoreError passes: then nobody can be told, and the job is taken from this worker when it is gone.
    """

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self.sound = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if isinstance(error, StoreError) or not isinstance(error, Exception):
            return False
        if isinstance(error, Interrupted):
            logger.info("stopped")
            self._lease.give_back()
        elif isinstance(error, LayerFlowError):
            logger.info("failed: %s", error)
            self._lease.failed(str(error))
        else:
            logger.error("failed", exc_info=error)
            self._lease.failed(f"something went wrong that should not ({type(error).__name__}); its log says where")
            self.sound = False
        return True


def attempt(
    lease: Lease,
    *,
    folder: ServerFolder,
    leaving: Callable[[], bool],
    bounds: Bounds = UNBOUNDED,
    make: Make | None = None,
) -> bool:
    """Does the job as far as it goes, within `bounds`; whether this process may go on to the next one.

    `make` is what makes shots in place of `shots.render`, called as that is.

    Raises StoreError when the queue cannot be told.
    """
    telling, watch = Telling(lease), Watch(lease, leaving)
    previews = Previews(folder, lease.job.id)
    space = bounds.space_of(lease.owner)
    roots = bounds.roots if space is None else space.roots
    with _logged(lease.job, folder.log_of(lease.job.id)), Settled(lease) as settled, Checks() as checks:

        def tell(event: Event) -> None:
            checks.event(event)
            telling.tell(event)

        def accept(shot: Shot) -> None:
            check_size(shot, bounds=bounds)
            checks.begin(shot)

        if roots is not None:
            check_links(lease.job.request, roots)
        result = (make or shots.render)(
            lease.job.request,
            **_ways(lease),
            on_event=tell,
            on_glimpse=previews.show,
            stopped=watch.stopped,
            accept=accept,
            recorded=str if space is None else space.recorded,
        )
        telling.stage("checking the frames")
        checks.finish(result, watch.stopped)
        told = json.loads(json.dumps(asdict(result), default=str))
        if space is not None:
            _look_at(files_of(told), space, Ledger(lease.store.database), watch.stopped)
        lease.done(told)
        logger.info("done in %.1f s", result.seconds)
    return settled.sound


def _ways(lease: Lease) -> dict[str, Any]:
    """Whether `render` is to resume or to start anew.

    A shot that was begun goes on. One that replaces frames does so only from its journal: without that, what lies there
    may be the frames to replace; and of those beside it, the ones from before it are.
    """
    if not lease.begun:
        return {"overwrite": lease.job.overwrite, "resume": False}
    if not lease.job.overwrite:
        return {"overwrite": False, "resume": True}
    begun = [_is_begun(stage) for stage in stages(lease.job.request)]
    return {"overwrite": True, "resume": any(begun)}


def _is_begun(request: Request) -> bool:
    """Whether a shot has a journal; then those of its frames that are older are removed."""
    try:
        shot = Shot.prepare(request, lambda event: None, lambda: False)
    except PlateError:  # its plate is still to be taken apart
        return False
    kept = [path.stat().st_mtime_ns for path in shot.journal.folder.glob("*") if path.is_file()]
    for path in shot.files:
        if kept and path.is_file() and path.stat().st_mtime_ns < min(kept):
            path.unlink()
    return bool(kept)


def _look_at(paths: Iterable[str], space: Space, ledger: Ledger, stopped: Callable[[], bool]) -> None:
    """Takes the digests of files, so that nobody who asks for them has to wait for that. Raises Interrupted."""
    for path in paths:
        raise_if(stopped)
        ledger.look(space, space.name_of(path))


@contextmanager
def _logged(job: Job, path: Path) -> Iterator[None]:
    """Within it, what this process logs goes to the file of the job, but for what is said in the context of another."""
    handler = RotatingFileHandler(path, maxBytes=MAX_LOG_BYTES, backupCount=1, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handler.addFilter(lambda record: _at_hand.get() in (None, job.id))
    root: Any = logging.getLogger()
    root.addHandler(handler)
    logger.setLevel(logging.INFO)
    before = _at_hand.set(job.id)
    try:
        logger.info("attempt %d on %s: %s", job.attempts, job.device, job.request.to_json())
        yield
    finally:
        _at_hand.reset(before)
        root.removeHandler(handler)
        handler.close()
