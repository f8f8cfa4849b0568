"""One question to the server over a connection of its own. No redirect is followed, and no proxy is ever asked."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Any, Dict, Iterator, Mapping, Optional, Union
from urllib.parse import urlencode, urlsplit

from layerflow.wire import errors
from layerflow.wire.remote import RemoteServer
from layerflow.wire.running import RunningServer

Server = Union[RunningServer, RemoteServer]

MAX_ANSWER = 1 << 26  # bytes; a page of a thousand jobs is about one MiB

_GOOD = (200, 201, 204, 206, 304)
_PIECE = 65536  # bytes
_LONGEST_SENTENCE = 1000  # characters
_SECONDS = re.compile("[0-9]{1,6}")
_STRANGER = "what answers at {} is not a LayerFlow server; stop what took its port, then layerflow serve starts one"


@dataclass(frozen=True)
class Question:
    """What is asked of the server."""

    method: str
    path: str  # from /v1 on, quoted
    query: Optional[Mapping[str, str]] = None
    body: Optional[Mapping[str, Any]] = None
    headers: Optional[Mapping[str, str]] = None
    with_token: bool = True
    content: Optional[bytes] = None  # in place of a body: plain bytes, whose type is among the headers

    @property
    def target(self) -> str:
        """Path and query, as they are sent."""
        return self.path + ("?" + urlencode(self.query) if self.query else "")

    def ask_over(self, connection: http.client.HTTPConnection, server: Server, stays_open: bool) -> None:
        """Sends it; the connection `stays_open` for another one or not."""
        headers = {"Accept": "application/json", **(self.headers or {})}
        if not stays_open:
            headers["Connection"] = "close"
        if self.with_token:
            headers["Authorization"] = "Bearer " + server.token
        content = self.content
        if self.body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(dict(self.body), allow_nan=False).encode("utf-8")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused while we speak: hear why
            connection.request(self.method, self.target, content, headers)


@dataclass(frozen=True)
class Answer:
    """A whole answer with a good status."""

    url: str  # who gave it
    status: int
    headers: Mapping[str, str]  # their names in small letters
    body: bytes

    @property
    def etag(self) -> str:
        """What tells this content from others."""
        return self.headers.get("etag", "")

    def json(self) -> Dict[str, Any]:
        """The JSON object it holds. Raises BadAnswer."""
        try:
            values = json.loads(self.body.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise errors.BadAnswer(_STRANGER.format(self.url)) from error
        if not isinstance(values, dict):
            raise errors.BadAnswer(_STRANGER.format(self.url))
        return values


def ask(server: Server, question: Question, timeout_s: float) -> Answer:
    """The answer to a question, whole within `timeout_s`. Raises ServerError, as of a bad status."""
    deadline = time.monotonic() + timeout_s
    with contextlib.closing(Exchange(server, question)) as exchange:
        return exchange.answer(deadline)


class Exchange:
    """One connection, and the answer to one question piece by piece. Raises ServerError; close it whatever happens."""

    def __init__(self, server: Server, question: Question) -> None:
        self._server = server
        self._question = question
        self._connection = new_connection(server)
        self._socket: Any = None
        self._response: Any = None
        self._left: Optional[int] = None
        self._is_aborted = False

    def open(self, timeout_s: float) -> int:
        """Asks, and returns the status of the answer, whose head came within `timeout_s`."""
        self._connection.timeout = timeout_s
        with translated(self._server, connecting=True):
            self._connection.connect()
        self._socket = self._connection.sock  # the response takes it over, and the connection forgets it
        with translated(self._server):
            if self._is_aborted:  # while there was no socket to end yet
                raise ConnectionAbortedError
            self._question.ask_over(self._connection, self._server, stays_open=False)
            self._response = self._connection.getresponse()
        self._left = self._response.length
        return int(self._response.status)

    def read(self, timeout_s: float) -> bytes:
        """The next bytes of the answer, as soon as there are some; none at its end."""
        if self._left == 0:
            return b""
        with translated(self._server):
            if timeout_s <= 0:
                raise socket.timeout()
            self._socket.settimeout(timeout_s)
            piece = self._response.read1(_PIECE if self._left is None else min(_PIECE, self._left))
            if self._left is not None:
                self._left -= len(piece)
                if not piece:
                    raise http.client.IncompleteRead(b"", self._left)
        return bytes(piece)

    def answer(self, deadline: float) -> Answer:
        """The whole answer, until `deadline` by the monotonic clock."""
        self.open(max(deadline - time.monotonic(), 0.001))
        return self.rest(deadline)

    def rest(self, deadline: float) -> Answer:
        """What is left of the answer once it is open."""
        body = bytearray()
        piece = b" "
        while piece:
            piece = self.read(deadline - time.monotonic())
            body += piece
            if len(body) > MAX_ANSWER:
                raise errors.BadAnswer(_STRANGER.format(self._server.url))
        return good_answer(self._server, self._response, bytes(body))

    def abort(self) -> None:
        """Ends the connection from another thread: who reads of it then hears that it is lost."""
        self._is_aborted = True  # before looking: a connection that is only being made finds it
        sock = self._connection.sock or self._socket
        with contextlib.suppress(OSError, AttributeError):  # not connected yet, or no longer
            sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Gives the connection back, whatever state it is in."""
        if self._response is not None:
            self._response.close()
        self._connection.close()


def new_connection(server: Server) -> http.client.HTTPConnection:
    """A connection to the server, not made yet."""
    parts = urlsplit(server.url)
    if parts.scheme != "https":
        return http.client.HTTPConnection(parts.hostname or "", parts.port)
    with translated(server, connecting=True):
        return http.client.HTTPSConnection(parts.hostname or "", parts.port, context=server.trust())


def good_answer(server: Server, response: http.client.HTTPResponse, body: bytes) -> Answer:
    """The answer of which `body` is all. Raises the ServerError that a bad status stands for."""
    headers = {name.lower(): value for name, value in response.getheaders()}
    answer = Answer(server.url, response.status, headers, body)
    if answer.status not in _GOOD:
        raise _refusal(server, answer, response.reason)
    return answer


@contextlib.contextmanager
def translated(server: Server, connecting: bool = False) -> Iterator[None]:
    """Turns what the system and http.client say into a ServerError of one sentence."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise errors.NotRunning(
            "the certificate of {} is not to be trusted ({}); name the file of who signed it, as layerflow connect "
            "--certificate does".format(server.url, error.verify_message)
        ) from error
    except socket.timeout as error:
        raise errors.TimedOut("the LayerFlow server takes too long to answer; try again in a moment") from error
    except (OSError, http.client.IncompleteRead) as error:
        if connecting:
            raise errors.NotRunning(
                "no LayerFlow server answers at {}; {}".format(server.url, server.REMEDY)
            ) from error
        raise errors.ConnectionLost(
            "the LayerFlow server went away while it answered; see with layerflow jobs list what became of it"
        ) from error
    except http.client.HTTPException as error:
        raise errors.BadAnswer(_STRANGER.format(server.url)) from error


def _refusal(server: Server, answer: Answer, reason: str) -> errors.ServerError:
    """The error that an answer stands for, in the server's words where it found some."""
    try:
        told = server.told(answer.json()["error"])
        message, kind = _sentence(str(told["message"])), str(told["kind"])
    except (errors.BadAnswer, KeyError, TypeError):
        told, message, kind = {}, "", ""
    status = answer.status
    if not 400 <= status < 500 and status != 503:
        failed = "the LayerFlow server failed ({} {}); its log says more".format(status, _sentence(reason))
        return errors.BadAnswer((message or failed) if status >= 500 else _STRANGER.format(answer.url))
    message = message or "the LayerFlow server refused that ({} {})".format(status, _sentence(reason))
    if kind == errors.OUTSIDE and isinstance(told.get("path"), str) and isinstance(told.get("roots"), list):
        return errors.Outside(message, kind, status, told["path"], [*map(str, told["roots"])])
    retry_after = answer.headers.get("retry-after", "")
    wait_s = float(retry_after) if _SECONDS.fullmatch(retry_after) else None
    return errors.OF_STATUS.get(status, errors.Refused)(message, kind, status, wait_s)


def _sentence(text: str) -> str:
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:_LONGEST_SENTENCE]
