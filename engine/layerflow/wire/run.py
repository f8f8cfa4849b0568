"""One press of Generate in a host, from rendering the inputs to the frames: a thread's work, and nothing of the host.

What has to happen in the host goes through a `Desk`, always in the host's main thread.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import time
import uuid
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Callable, List, Optional, Sequence, Tuple, TypeVar

from layerflow.wire.client import Client
from layerflow.wire.errors import Conflict, NotFound, ServerError, Stopped
from layerflow.wire.following import Following
from layerflow.wire.jobs import Job
from layerflow.wire.pace import Pace
from layerflow.wire.request import Request
from layerflow.wire.status import CANCELLED, FAILED, WORKING, Status, carrying, of_job, rendering
from layerflow.wire.transfer import Transfer

SHOW_S = 0.25  # the least between two lines on the node
PREVIEW_S = 1.0  # the least between two pictures

Answer = TypeVar("Answer")
InMain = Callable[[Callable[[], Any]], Any]  # calls in the host's main thread, and gives or raises what came of it


class HostError(Exception):
    """The host could not do its part; one sentence for an artist."""


class Gone(Exception):
    """The node, or its script, is not there any more."""


@dataclass(frozen=True)
class Render:
    """Frames of one input that have to be written before the engine can read them."""

    input: str
    pattern: str
    frames: Tuple[int, ...]


@dataclass(frozen=True)
class Shot:
    """What is asked for one view."""

    view: str
    request: Request
    renders: Tuple[Render, ...] = ()
    key: str = field(default_factory=lambda: uuid.uuid4().hex)  # so that asking twice makes one job


class Desk(ABC):
    """What a run needs of its host. Every method is called in the main thread, and may raise HostError or Gone."""

    @abstractmethod
    def render(self, what: Render, frame: int, view: str) -> None:
        """Writes one frame of an input."""

    @abstractmethod
    def show(self, status: Status) -> None:
        """Says how it stands."""

    @abstractmethod
    def preview(self, jpeg: bytes) -> None:
        """Shows how the layers look so far."""

    @abstractmethod
    def submitted(self, jobs: Sequence[str]) -> None:
        """Keeps the ids of the jobs, so that they are found again."""

    @abstractmethod
    def ended(self, status: Status, jobs: Sequence[Job]) -> None:
        """Takes the end: frames to show, or what went wrong."""


class Run:
    """One press of Generate, or jobs of an earlier one that are watched again."""

    def __init__(
        self,
        desk: Desk,
        in_main: InMain,
        connect: Callable[[], Client],
        shots: Sequence[Shot] = (),
        jobs: Sequence[str] = (),
        label: str = "",
        preview_layer: str = "off",
        is_mine: Callable[[Job], bool] = lambda job: False,
        retries: bool = False,
    ) -> None:
        """`shots` are rendered and asked for; or `jobs`, which are in the queue already, are followed.

        Those jobs are put in the queue again first where it `retries`.

        With neither, jobs of the same `label` are that go on and of which `is_mine` is true.
        """
        self._desk, self._in_main, self._connect = desk, in_main, connect
        self._shots, self._ids, self._label = tuple(shots), list(jobs), label
        self._preview_layer, self._is_mine, self._retries = preview_layer, is_mine, retries
        self._cancelled, self._left = threading.Event(), threading.Event()
        self._shown_at = self._previewed_at = float("-inf")
        self._etag = ""
        self._following: Optional[Following] = None
        self.thread = threading.Thread(target=self.work, name="LayerFlow", daemon=True)

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes of it."""
        return not self.thread.is_alive()

    @property
    def has_left(self) -> bool:
        """Whether it was told to leave."""
        return self._left.is_set()

    def cancel(self) -> None:
        """Ends it: no more is rendered, and its jobs are cancelled. Returns at once."""
        self._cancelled.set()
        threading.Thread(target=self._cancel_jobs, name="LayerFlow cancel", daemon=True).start()

    def leave(self) -> None:
        """Stops following, at once; the jobs go on in the queue."""
        self._left.set()
        following = self._following
        if following is not None:
            following.stop()

    def work(self) -> None:
        """Does it all; a thread's target, and what a farm calls itself."""
        try:
            found = self._outcome()
            if found is not None:
                self._main(functools.partial(self._desk.ended, *found))
        except Gone:
            pass
        except Exception as error:
            with contextlib.suppress(Gone):
                own = Status(f"failed: the plug-in met an error of its own ({error}); the terminal has more", FAILED)
                self._main(lambda: self._desk.ended(own, []))
            raise

    def _outcome(self) -> Optional[Tuple[Status, List[Job]]]:
        """How it ended, and its jobs; None where there was nothing to follow."""
        searches = not self._shots and not self._ids
        try:
            if searches and not self._found():
                return None
            self._render_all()
            if self._cancelled.is_set():
                return Status("cancelled before the engine was asked", CANCELLED), []
            return self._after_rendering()
        except Stopped:
            self._stay()
            return Status("cancelled; files that came through are kept, on both sides", CANCELLED), []
        except NotFound:
            return Status(
                "this machine's queue does not know the job; frames that it made are in their folder", CANCELLED
            ), []
        except (HostError, ServerError, ValueError, OSError) as error:
            if searches and not self._ids:
                return None
            if not self._shots:  # nobody has pressed anything, so nothing has failed
                return Status(f"the job cannot be watched: {error}; then press Reload"), []
            return Status(f"failed: {error}", FAILED), []

    def _after_rendering(self) -> Tuple[Status, List[Job]]:
        """Asks the engine, and how its jobs ended."""
        client = self._connect()
        self._submit(client)
        self._retry(client)
        jobs = [self._fetched(client, self._followed(client, job)) for job in list(self._ids)]
        worst = next((job for job in jobs if job.state != "done"), jobs[-1])
        return of_job(worst), jobs

    def _found(self) -> bool:
        """Whether the queue has jobs of this node that go on: Nuke ended before the script was saved with their ids."""
        jobs = self._connect().list(label=self._label)
        self._ids = [job.id for job in jobs if not job.is_final and self._is_mine(job)]
        if self._ids:
            self._main(lambda: self._desk.submitted(self._ids))
        return bool(self._ids)

    def _render_all(self) -> None:
        total = sum(len(render.frames) for shot in self._shots for render in shot.renders)
        done = 0
        for shot in self._shots:
            for render in shot.renders:
                for frame in render.frames:
                    if self._cancelled.is_set():
                        return
                    self._show(rendering(render.input, done, total))
                    self._main(functools.partial(self._desk.render, render, frame, shot.view))
                    done += 1

    def _submit(self, client: Client) -> None:
        if not self._shots:
            return
        self._show(Status("asking the engine"), at_once=True)
        for shot in self._shots:
            carry = {"on_transfer": self._carry, "stopped": self._is_unwanted}  # type: Any
            self._ids.append(client.submit(shot.request, label=self._label, key=shot.key, **carry).id)
        self._main(lambda: self._desk.submitted(self._ids))
        if self._cancelled.is_set():  # pressed while it was asked
            self._cancel_jobs()

    def _retry(self, client: Client) -> None:
        if self._retries:
            for job in self._ids:
                with contextlib.suppress(Conflict):  # it goes on already
                    client.retry(job)

    def _followed(self, client: Client, job_id: str) -> Job:
        job, pace = client.get(job_id), Pace()
        self._show(of_job(job), at_once=True)
        if job.is_final:
            return job
        self._following = client.follow(job_id)
        self._stay()  # for it may have been told to leave before there was something to stop
        with contextlib.closing(self._following.events()) as events:
            for event in events:
                self._stay()
                job = job.after(event)
                pace.note(event)
                self._show(of_job(job, pace.left_s()), at_once=event.kind == "state" and not job.is_final)
                self._preview(client, job)
        self._stay()
        return client.get(job_id)

    def _fetched(self, client: Client, job: Job) -> Job:
        """The job, whose frames are on this machine where it is done."""
        if job.state == "done":
            client.fetch(job.id, self._carry, self._is_unwanted)
        return job

    def _carry(self, transfer: Transfer) -> None:
        self._show(carrying(transfer))

    def _is_unwanted(self) -> bool:
        return self._cancelled.is_set() or self._left.is_set()

    def _preview(self, client: Client, job: Job) -> None:
        now = time.monotonic()
        if self._preview_layer == "off" or job.state != "running" or now - self._previewed_at < PREVIEW_S:
            return
        self._previewed_at = now
        with contextlib.suppress(ServerError, HostError):  # the job goes on without a picture
            picture = client.preview(job.id, self._preview_layer, self._etag)
            if picture is not None:
                self._etag = picture.etag
                self._main(lambda: self._desk.preview(picture.image))

    def _show(self, status: Status, at_once: bool = False) -> None:
        now = time.monotonic()
        if status.state != WORKING or not (at_once or now - self._shown_at >= SHOW_S):
            return
        self._shown_at = now
        self._main(lambda: self._desk.show(status))

    def _cancel_jobs(self) -> None:
        try:
            client = self._connect() if self._ids else None
            for job in list(self._ids):
                if client is not None:
                    with contextlib.suppress(Conflict):  # it is over
                        client.cancel(job)
        except ServerError as error:
            text = f"could not be cancelled: {error}"
            with contextlib.suppress(Gone):
                self._main(lambda: self._desk.show(Status(text)))

    def _main(self, call: Callable[[], Answer]) -> Answer:
        self._stay()
        answer: Answer = self._in_main(call)
        return answer

    def _stay(self) -> None:
        """Raises Gone once it is to leave."""
        if self._left.is_set():
            raise Gone
