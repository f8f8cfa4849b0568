"""A stand-in for the server: the API of docs/wire.md over real sockets, with faults on demand and no work behind it."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from layerflow.wire import Job, JobEvent, Progress, Request
from layerflow.wire.jobs import FINAL_STATES, VERBS, state_after
from layerflow.wire.running import API, RunningServer

HEARTBEAT_S = 0.05


class StandIn(ThreadingHTTPServer):
    """The server's memory. Faults are queues of what happens instead: each is used up by one request."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, token: str = "s3cret", version: int = API) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.token = token
        self.api: Any = version
        self.jobs: dict[str, Job] = {}
        self.keys: dict[str, str] = {}
        self.events: list[JobEvent] = []
        self.changed = threading.Condition()
        self.asked: list[tuple[str, str, dict[str, str]]] = []  # method, target, headers
        self.deaf: deque[bytes] = deque()  # raw bytes that answer a request which is not carried out
        self.lost: deque[bytes] = deque()  # raw bytes that answer one which was
        self.cuts: deque[int] = deque()  # after so many bytes a stream breaks
        self.heartbeat_s = HEARTBEAT_S
        self.on_job: Callable[[Job], object] = lambda job: None
        self.repeats = False  # tells a stream from the start whatever was heard
        self.is_closing = False

    @property
    def address(self) -> RunningServer:
        """What the runtime file would say."""
        return RunningServer(f"http://127.0.0.1:{self.server_address[1]}", self.token, os.getpid(), API, "0.1.0")

    def add(self, request: Request, label: str = "", overwrite: bool = False) -> Job:
        """A new job at the end of the queue."""
        job = Job(uuid.uuid4().hex, "queued", request, label, overwrite, len(self.jobs), time.time())
        return self.put(job)

    def put(self, job: Job) -> Job:
        """`job` as it is now, and everyone who listens hears of it."""
        with self.changed:
            self.jobs[job.id] = job
            self.tell(job.id, "state", job.to_dict())
        return job

    def go(self, job: Job, state: str, **values: Any) -> Job:
        """`job` in another state."""
        return self.put(replace(self.jobs[job.id], state=state, **values))

    def step(self, job: Job, done: int, total: int) -> None:
        """A step of a running job."""
        self.tell(job.id, "progress", Progress("Sampling", done, total).to_dict())

    def tell(self, job: str, kind: str, data: dict[str, Any]) -> None:
        """An event of `job`."""
        data = json.loads(json.dumps(data))
        with self.changed:
            self.events.append(JobEvent(len(self.events) + 1, job, kind, time.time(), data))
            self.changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what this is for."""


class Refusal(Exception):  # noqa: N818 - an answer, not a failure
    """Becomes an answer with this status."""

    def __init__(self, status: int, message: str, kind: str = "RequestError") -> None:
        super().__init__(status, message, kind)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StandIn

    def log_message(self, *_: Any) -> None:
        """Nothing on stderr."""

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def _handle(self) -> None:
        self.server.asked.append((self.command, self.path, dict(self.headers)))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.server.deaf:
            self._raw(self.server.deaf.popleft())
            return
        try:
            status, kind, answer = self._answer(urlsplit(self.path).path.split("/")[2:], json.loads(body or b"{}"))
        except Refusal as refusal:
            status, message, name = refusal.args
            kind, answer = "application/json", json.dumps({"error": {"kind": name, "message": message}}).encode()
        if kind == "text/event-stream":
            self._stream(answer.decode())
        elif self.server.lost:
            self._raw(self.server.lost.popleft())
        else:
            self._send(status, kind, answer)

    def _answer(self, path: list[str], body: dict[str, Any]) -> tuple[int, str, bytes]:
        if path == ["health"]:
            return _json({"status": "ok", "version": "0.1.0", "api": self.server.api})
        if self.headers.get("Authorization") != f"Bearer {self.server.token}":
            raise Refusal(401, "the token is wrong; connect again", "Unauthorised")
        if self.command == "POST" and self.headers.get("Content-Type") != "application/json":
            raise Refusal(415, "send JSON")
        match path:
            case ["jobs"]:
                return self._submit(body) if self.command == "POST" else self._list()
            case ["events"]:
                return 200, "text/event-stream", b""
            case ["jobs", job, *rest] if job in self.server.jobs:
                return self._one(self.server.jobs[job], rest, body)
        raise Refusal(404, "there is no such job; layerflow jobs list shows them", "NotFound")

    def _one(self, job: Job, rest: list[str], body: dict[str, Any]) -> tuple[int, str, bytes]:
        match rest:
            case []:
                return _json(job.to_dict())
            case ["events"]:
                return 200, "text/event-stream", job.id.encode()
            case ["log"]:
                return 200, "text/plain; charset=utf-8", f"log of {job.id}: é\n".encode()
            case ["move"]:
                return _json(self.server.put(replace(job, position=-1 if body["before"] else 99)).to_dict())
            case [verb] if verb in VERBS and self.command == "POST":
                with contextlib.suppress(ValueError):
                    return _json(self.server.go(job, state_after(verb, job.state)).to_dict())
                raise Refusal(409, f"a {job.state} job cannot {verb}", "Conflict")
        raise Refusal(404, "there is no such thing", "NotFound")

    def _submit(self, body: dict[str, Any]) -> tuple[int, str, bytes]:
        key = self.headers.get("Idempotency-Key", uuid.uuid4().hex)
        if key in self.server.keys:
            return _json(self.server.jobs[self.server.keys[key]].to_dict())
        job = self.server.add(Request.from_dict(body["request"]), body["label"], body["overwrite"])
        self.server.keys[key] = job.id
        self.server.on_job(job)
        return _json(job.to_dict(), status=201)

    def _list(self) -> tuple[int, str, bytes]:
        query = dict(parse_qsl(urlsplit(self.path).query))
        jobs = [
            job
            for job in self.server.jobs.values()
            if query.get("state", job.state) == job.state and query.get("label", job.label) == job.label
        ]
        return _json({"jobs": [job.to_dict() for job in jobs], "next": None, "event": len(self.server.events)})

    def _stream(self, job: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        budget = self.server.cuts.popleft() if self.server.cuts else 1 << 40
        last = 0 if self.server.repeats else int(self.headers.get("Last-Event-ID", 0))
        for piece in self._pieces(job, last):
            chunk = b"%x\r\n%b\r\n" % (len(piece), piece)
            self.wfile.write(chunk[:budget])
            budget -= len(chunk)
            if budget < 0:
                self.close_connection = True
                return
        self.wfile.write(b"0\r\n\r\n")

    def _pieces(self, job: str, last: int) -> Iterator[bytes]:
        server = self.server
        while True:
            with server.changed:
                fresh = [event for event in server.events if event.id > last and job in ("", event.job)]
                over = server.is_closing or (bool(job) and server.jobs[job].state in FINAL_STATES)
                if not fresh and not over:
                    server.changed.wait(server.heartbeat_s)
            for event in fresh:
                last = event.id
                yield f"id: {event.id}\nevent: {event.kind}\ndata: {json.dumps(event.to_dict())}\n\n".encode()
            if over:
                return
            yield b": ping\n\n"

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _raw(self, answer: bytes) -> None:
        self.wfile.write(answer)
        self.close_connection = True


def _json(values: dict[str, Any], status: int = 200) -> tuple[int, str, bytes]:
    return status, "application/json", json.dumps(values).encode()


@contextlib.contextmanager
def standing_in(**values: Any) -> Iterator[StandIn]:
    """A stand-in that answers until the block ends."""
    server = StandIn(**values)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        with server.changed:
            server.is_closing = True
            server.changed.notify_all()
        server.shutdown()
        server.server_close()
        thread.join()
