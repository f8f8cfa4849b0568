"""One connection for many questions, one after the other, and patience with links that break."""

from __future__ import annotations

import contextlib
import http.client
import time
from typing import Callable, Optional

from layerflow.wire import errors
from layerflow.wire.following import PASSING, PATIENCE_S
from layerflow.wire.transport import MAX_ANSWER, Answer, Question, Server, good_answer, new_connection, translated

TIMEOUT_S = 60.0  # without a byte
CHUNK = 1 << 22  # bytes

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
_LEAST = 1 << 14  # bytes of a chunk
_LARGER_AFTER = 8  # chunks that went well


class Line:
    """A connection that is kept. Chunks grow while it holds, and shrink where not even one gets through."""

    def __init__(self, server: Server, stopped: Callable[[], bool], chunk: int = CHUNK) -> None:
        """`stopped` says whether to give up; `chunk` is the most bytes to go at a time."""
        self._server, self._stopped, self._most = server, stopped, chunk
        self._connection: Optional[http.client.HTTPConnection] = None
        self._pause_s = 0.0
        self._lost_at: Optional[float] = None  # since when nothing gets on
        self._went_well = self._went_since_failure = 0
        self.chunk = chunk  # bytes that should go at a time
        self.failures = 0  # so far

    def take_at_most(self, chunk: int) -> None:
        """The server takes so many bytes at a time."""
        self._most = max(1, chunk)
        self.chunk = min(self.chunk, self._most)

    def ask(self, question: Question) -> Answer:
        """The answer. Raises ServerError."""
        self.check_wanted()
        try:
            return self._ask(question)
        except errors.Refused:
            raise
        except BaseException:
            self.close()
            raise

    def got_on(self) -> None:
        """Takes note that something is done that need not be done again."""
        self._lost_at, self._pause_s = None, 0.0  # a link that broke once is tried again at once
        self._went_since_failure += 1
        self._went_well += 1
        if self._went_well >= _LARGER_AFTER:
            self.chunk, self._went_well = min(2 * self.chunk, self._most), 0

    def failed(self, error: errors.ServerError) -> None:
        """Waits a while before the next try. Raises `error` where that cannot help, or has not for long."""
        if not (isinstance(error, PASSING) or getattr(error, "kind", "") in errors.ON_THE_WAY):
            raise error
        now = time.monotonic()
        self._lost_at = now if self._lost_at is None else self._lost_at
        if now - self._lost_at > PATIENCE_S:
            raise error
        self.failures += 1
        if not self._went_since_failure:
            self.chunk = max(self.chunk // 2, min(_LEAST, self._most))
        self._went_since_failure = self._went_well = 0
        self._wait(max(self._pause_s, getattr(error, "retry_after_s", None) or 0.0))
        self._pause_s = min(max(2 * self._pause_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)

    def persist(self, question: Question) -> Answer:
        """The answer to a question that does no harm twice, asked again while the link breaks."""
        while True:
            try:
                return self.ask(question)
            except errors.NotFound:
                raise
            except errors.ServerError as error:
                self.failed(error)

    def check_wanted(self) -> None:
        """Raises Stopped once it is to give up."""
        if self._stopped():
            raise errors.Stopped("stopped; what was sent or fetched is kept")

    def close(self) -> None:
        """Gives the connection back; the next question makes another one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, question: Question) -> Answer:
        if self._connection is None:
            self._connection = new_connection(self._server)
            self._connection.timeout = TIMEOUT_S
        if self._connection.sock is None:
            with translated(self._server, connecting=True):
                self._connection.connect()
        with translated(self._server):
            question.ask_over(self._connection, self._server, stays_open=True)
            with contextlib.closing(self._connection.getresponse()) as response:
                body = response.read(MAX_ANSWER)
                if response.length:  # it broke off
                    raise http.client.IncompleteRead(body, response.length)
                return good_answer(self._server, response, body)

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.check_wanted()
            time.sleep(min(0.1, max(0.0, until - time.monotonic())))
