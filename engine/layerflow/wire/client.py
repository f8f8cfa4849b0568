"""The server's client for hosts: what artists ask of the queue, one method each."""

from __future__ import annotations

import contextlib
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Generator, List, Mapping, Optional, Type, TypeVar
from urllib.parse import quote

from layerflow.wire import errors, remote, remote_files, space, starting
from layerflow.wire.following import Following
from layerflow.wire.jobs import Job, JobEvent, check_id
from layerflow.wire.remote import RemoteServer
from layerflow.wire.request import Request
from layerflow.wire.space_names import SpaceNames
from layerflow.wire.transfer import OnTransfer, unseen, unstopped
from layerflow.wire.transport import Answer, Exchange, Question, Server, ask
from layerflow.wire.whole_paths import with_whole_paths

START_S = 60.0  # the longest a server may take to start
IDLE_EXIT_S = 900.0  # after which a server that a host started ends, with nothing to do
PAGE = 100  # jobs

_PAUSES_S = (0.1, 0.5)  # before a question is asked again

Value = TypeVar("Value", Job, JobEvent)


@dataclass(frozen=True)
class Preview:
    """How a layer looks so far."""

    image: bytes  # JPEG
    etag: str  # give it back, and the same picture does not come again


@dataclass(frozen=True)
class Look:
    """The queue at one moment."""

    jobs: List[Job]  # in its order
    event: Optional[int]  # the last one they tell of; None where the server does not say


class Client:
    """A client of the server on this machine, or of the one elsewhere that `layerflow connect` named.

    Every method raises ServerError, with one sentence for an artist. No connection stays open between calls, so making
    a client costs nothing: use one per thread. A server that went away and came back, at another address even, is found
    again. Paths are those of this machine in all that is asked and told, wherever the server is.
    """

    def __init__(
        self,
        server: Server,
        timeout_s: float = 30.0,
        find_again: Optional[Callable[[], Server]] = None,
    ) -> None:
        self._server = server
        self._timeout_s = timeout_s  # for every answer but a stream of events
        self._find_again = find_again or (lambda: server)

    @classmethod
    def connect(
        cls,
        start: bool = True,
        timeout_s: float = 30.0,
        start_s: float = START_S,
        idle_exit_s: float = IDLE_EXIT_S,
        runtime: Optional[Path] = None,
    ) -> "Client":
        """A client of the server that runs, or with `start` of one that is started when none runs.

        Where this user is connected to one elsewhere it is that one. `timeout_s` is for every answer but a stream of
        events, `start_s` for the start. `runtime` is the runtime folder of another server of this machine, which is
        never started. Raises NotRunning with the reason, and WrongVersion.
        """

        def find() -> Server:
            elsewhere = remote.connected() if runtime is None else None
            if elsewhere is not None:
                starting.check_version(elsewhere)
                return elsewhere
            if start and runtime is None:
                return starting.find_or_start(start_s, idle_exit_s)
            return starting.find(runtime)

        return cls(find(), timeout_s, find)

    def __repr__(self) -> str:
        return "Client({})".format(self._server.url)

    @property
    def is_remote(self) -> bool:
        """Whether jobs are made on another machine, so that files go there and come back."""
        return isinstance(self._server, RemoteServer)

    def submit(
        self,
        request: Request,
        label: str = "",
        overwrite: bool = False,
        key: Optional[str] = None,
        on_transfer: OnTransfer = unseen,
        stopped: Callable[[], bool] = unstopped,
    ) -> Job:
        """The job that this request became. Its paths are sent as they are meant here, from the root on.

        The same `key` gives the same job, however often it is sent; without one it is a new job with every call, and
        one only even where the connection breaks. A server elsewhere is sent the files first that it lacks, of which
        `on_transfer` hears. Raises Refused where the request cannot be taken, Busy when the queue is full, LocalFile
        for a file here, and Stopped once `stopped` is true.
        """
        request = with_whole_paths(request)
        if isinstance(self._server, RemoteServer):
            asked = SpaceNames(self._server.machine).sent(request)
            if not overwrite:
                remote_files.check_output_free(request)
            remote_files.upload(self._server, request, on_transfer, stopped)
            request = asked
        body = {"request": request.to_dict(), "label": label, "overwrite": overwrite}
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        return self._job(Question("POST", "/v1/jobs", body=body, headers=headers))

    def fetch(self, job: str, on_transfer: OnTransfer = unseen, stopped: Callable[[], bool] = unstopped) -> List[str]:
        """Has what a job that is done has made where its request says, from a server elsewhere; the paths of it.

        What is there already is left alone, and what came of an earlier call is gone on from. One on this machine has
        written there itself: no paths. Raises Conflict for a job that is not done, LocalFile where another file is in
        the way or the disk is full, and Stopped once `stopped` is true.
        """
        if not isinstance(self._server, RemoteServer):
            return []
        return remote_files.download(self._server, self.get(job), on_transfer, stopped)

    def get(self, job: str) -> Job:
        """The job with this id. Raises NotFound."""
        return self._job(Question("GET", _path(job)))

    def list(self, state: Optional[str] = None, label: Optional[str] = None) -> List[Job]:
        """Every job, in the order of the queue; only those in one state, or with one label, where given."""
        return self.look(state, label).jobs

    def look(self, state: Optional[str] = None, label: Optional[str] = None) -> Look:
        """As `list`, with the event from which `events` tells what happens next."""
        wanted = {"limit": str(PAGE), "state": state, "label": label}
        query = {name: value for name, value in wanted.items() if value is not None}
        found: Dict[str, Job] = {}
        event: Optional[int] = None
        while True:
            answer = self._ask(Question("GET", "/v1/jobs", query=query))
            values = answer.json()
            page = [_read(Job, self._told(job), answer) for job in _listed(values, "jobs", answer)]
            if not found:  # the first page's, so that nothing that happens between two is missed
                event = values.get("event")
            found.update((job.id, job) for job in page)
            following = values.get("next")
            if following is None or following == query.get("after"):
                return Look([*found.values()], event if isinstance(event, int) else None)
            query["after"] = str(following)

    def cancel(self, job: str) -> Job:
        """The job, which is made no further. Raises Conflict when it is over."""
        return self._act(job, "cancel")

    def retry(self, job: str) -> Job:
        """The job, which failed or was cancelled, in the queue again; it goes on from its last saved step."""
        return self._act(job, "retry")

    def pause(self, job: str) -> Job:
        """The job, which keeps what is done of it and waits until `resume`."""
        return self._act(job, "pause")

    def resume(self, job: str) -> Job:
        """The paused job, in the queue again."""
        return self._act(job, "resume")

    def move(self, job: str, before: Optional[str] = None) -> Job:
        """The queued job at its new place: before another one, or at the end."""
        if before is not None:
            check_id(before)
        return self._act(job, "move", {"before": before})

    def log(self, job: str) -> str:
        """What the engine wrote down while it made the job."""
        answer = self._ask(Question("GET", _path(job) + "/log", headers={"Accept": "text/plain"}))
        return str(self._told(answer.body.decode("utf-8", "replace")))

    def preview(self, job: str, layer: str, etag: str = "") -> Optional[Preview]:
        """How a layer of a running job looks so far; None when there is nothing yet, or nothing newer than `etag`."""
        headers = {"Accept": "image/jpeg"}
        if etag:
            headers["If-None-Match"] = etag
        question = Question("GET", "{}/preview/{}".format(_path(job), quote(layer, safe="")), headers=headers)
        try:
            answer = self._ask(question)
        except errors.NotFound:
            return None
        return Preview(answer.body, answer.etag) if answer.status == 200 else None

    def models(self) -> List[Dict[str, Any]]:
        """The models on the server's machine, as `layerflow models list --json` tells of them."""
        return self._list_of("models")

    def devices(self) -> List[Dict[str, Any]]:
        """The devices that make jobs."""
        return self._list_of("devices")

    def events(
        self, job: Optional[str] = None, after: Optional[int] = None, timeout_s: Optional[float] = None
    ) -> Generator[JobEvent, None, None]:
        """What happens, as it happens: to one job until it is over, or to all jobs without end.

        Starts after the event with the number `after`, or with everything that is still known. A broken connection is
        made again and no event comes twice. Raises TimedOut after `timeout_s`, and NotRunning or ConnectionLost once
        the server has been away for a minute. Close the generator to stop, or `follow` where another thread is to.
        """
        return self.follow(job, after, timeout_s).events()

    def follow(
        self, job: Optional[str] = None, after: Optional[int] = None, timeout_s: Optional[float] = None
    ) -> Following:
        """What gives those `events`, and can be stopped by another thread while it waits for them."""
        path = "/v1/events" if job is None else _path(job) + "/events"

        def connect(last: Optional[int], again: bool) -> Exchange:
            if again:
                self._server = self._find_again()
            headers = {"Accept": "text/event-stream"}
            if last is not None:
                headers["Last-Event-ID"] = str(last)
            return Exchange(self._server, Question("GET", path, headers=headers))

        return Following(connect, lambda: job is not None and self.get(job).is_final, after, timeout_s, self._told)

    def wait(self, job: str, timeout_s: Optional[float] = None) -> Job:
        """The job once it is done, failed or cancelled. Raises TimedOut after `timeout_s`, and the job goes on."""
        with contextlib.closing(self.events(job, timeout_s=timeout_s)) as events:
            for _ in events:
                pass
        return self.get(job)

    def space(self) -> Dict[str, Any]:
        """How much of the user's space on a server elsewhere is taken; NotRunning where it is on this machine."""
        return space.look(self._elsewhere())

    def delete(self, path: str) -> None:
        """Removes what the space has of a file or folder of this machine, where nothing is touched.

        Raises NotFound where it has nothing of it, and NotRunning as `space` does.
        """
        space.delete(self._elsewhere(), path)

    def _elsewhere(self) -> RemoteServer:
        if isinstance(self._server, RemoteServer):
            return self._server
        raise errors.NotRunning(space.NONE_HERE)

    def _act(self, job: str, verb: str, body: Optional[Mapping[str, Any]] = None) -> Job:
        return self._job(Question("POST", "{}/{}".format(_path(job), verb), body=body or {}), harmless=False)

    def _job(self, question: Question, harmless: bool = True) -> Job:
        answer = self._ask(question, harmless)
        return _read(Job, self._told(answer.json()), answer)

    def _told(self, value: Any) -> Any:
        """What the server tells, with paths as they are here."""
        return self._server.told(value)

    def _list_of(self, name: str) -> List[Dict[str, Any]]:
        answer = self._ask(Question("GET", "/v1/" + name))
        return _listed(answer.json(), name, answer)

    def _ask(self, question: Question, harmless: bool = True) -> Answer:
        """The answer; asked again, of the server that runs then, where none heard it or asking twice is harmless."""
        for pause_s in _PAUSES_S:
            try:
                return ask(self._server, question, self._timeout_s)
            except (errors.NotRunning, errors.Unauthorised):
                pass
            except errors.ConnectionLost:
                if not harmless:
                    raise
            time.sleep(pause_s)
            self._server = self._find_again()
        return ask(self._server, question, self._timeout_s)


def _path(job: str) -> str:
    check_id(job)
    return "/v1/jobs/" + job


def _read(kind: Type[Value], values: Any, answer: Answer) -> Value:
    """A value out of an answer. Raises BadAnswer."""
    try:
        return kind.from_dict(values)
    except (ValueError, TypeError, AttributeError) as error:
        raise errors.BadAnswer(
            "the LayerFlow server at {} tells of a job that makes no sense; install the same LayerFlow on both "
            "sides".format(answer.url)
        ) from error


def _listed(values: Mapping[str, Any], name: str, answer: Answer) -> List[Dict[str, Any]]:
    found = values.get(name)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise errors.BadAnswer(
            "the LayerFlow server at {} tells of no {}; install the same LayerFlow on both sides".format(
                answer.url, name
            )
        )
    return found
