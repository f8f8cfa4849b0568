"""A real server on a real socket behind the guard, and clients that speak to it byte by byte."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from layerflow.server.folder import ServerFolder
from layerflow.server.patience import patient
from layerflow.server.service import Service
from layerflow.server.settings import Limits, Settings
from layerflow.server.store import Store

TOKEN = "0123456789abcdef-the-token"


def make_service(path: Path, **settings: Any) -> Service:
    """A service of its own folder below `path`, with no worker."""
    folder = ServerFolder(path=path / "server")
    folder.make()
    return Service(folder=folder, store=Store(folder.queue), settings=Settings(**settings), token=TOKEN)


@contextlib.contextmanager
def serving(app: ASGIApp, service: Service) -> Iterator[None]:
    """`app` on its port, or on one that is free, until the block ends."""
    limits: Limits = service.settings.limits
    config = uvicorn.Config(
        app,
        http=patient(limits),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    listening = socket.create_server(("127.0.0.1", service.settings.port or 0), backlog=512)
    service.port = listening.getsockname()[1]
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        """The word for programs in a refusal."""
        return str(json.loads(self.body)["error"]["kind"])

    @property
    def message(self) -> str:
        """The sentence for people in a refusal."""
        return str(json.loads(self.body)["error"]["message"])


class Caller:
    """Asks the service at its port; `own` are the headers of a well-behaved client."""

    def __init__(self, service: Service) -> None:
        self.service = service

    @property
    def own(self) -> dict[str, str]:
        return {"Host": f"127.0.0.1:{self.service.port}", "Authorization": f"Bearer {TOKEN}"}

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.service.port), timeout=30)

    def raw(self, *pieces: bytes, has_body: bool = True) -> Answer | None:
        """The answer to these bytes; None where the server hangs up without a word."""
        with self.connect() as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused while we speak
                for piece in pieces:
                    connection.sendall(piece)
            return read_answer(connection, has_body=has_body)

    def ask(self, method: str, target: str, body: bytes | None = None, **headers: str | None) -> Answer:
        """The answer to a well-behaved request; `headers` change it (_ for -), None leaves one out."""
        answer = self.raw(self.head(method, target, body, **headers) + (body or b""), has_body=method != "HEAD")
        assert answer is not None
        return answer

    def head(self, method: str, target: str, body: bytes | None = None, **headers: str | None) -> bytes:
        """The bytes of a request's head."""
        given: dict[str, str | None] = dict(self.own)
        if body is not None:
            given |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        given |= {name.replace("_", "-").title(): value for name, value in headers.items()}
        lines = [
            f"{method} {target} HTTP/1.1",
            *(f"{name}: {value}" for name, value in given.items() if value is not None),
        ]
        return "\r\n".join([*lines, "", ""]).encode()


def read_answer(connection: socket.socket, *, has_body: bool = True) -> Answer | None:
    """One answer with a Content-Length, and nothing of what follows; None at the end of the connection."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = _receive(connection)
        if not piece:
            return None
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    length = int(headers.get("content-length", "0")) if has_body else 0  # 304 has none
    while len(body) < length:
        piece = _receive(connection)
        assert piece, "the answer breaks off"
        body += piece
    return Answer(status=int(first.split()[1]), headers=headers, body=body[:length])


def is_closed(connection: socket.socket) -> bool:
    """Waits until the server has hung up, and says whether it did so without a word."""
    return not _receive(connection)


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except ConnectionResetError:
        return b""
