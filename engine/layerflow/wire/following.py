"""A stream of events that goes on: connected again when the connection breaks, from the last event that came."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from typing import Any, Callable, Generator, Iterator, List, Optional

from layerflow.wire import errors, sse
from layerflow.wire.jobs import EVENT_KINDS, FINAL_STATES, JobEvent
from layerflow.wire.transport import Exchange

SILENCE_S = 30.0  # three heartbeats; a stream that is silent for longer is broken
PATIENCE_S = 60.0  # how long a server may be away before that is an error

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
PASSING = (errors.NotRunning, errors.ConnectionLost, errors.TimedOut, errors.Busy)

# Asks for the events after a number. The flag is set after a failure: the server may be another one by now.
Connect = Callable[[Optional[int], bool], Exchange]


class Following:
    """The events of one stream, once each and in order, over as many connections as it takes.

    Another thread may end it by `stop`. `is_over` says whether a stream that ended, and had nothing new to tell, will
    have nothing more to tell.
    """

    def __init__(
        self,
        connect: Connect,
        is_over: Callable[[], bool],
        after: Optional[int],
        timeout_s: Optional[float],
        told: Callable[[Any], Any] = lambda value: value,
    ) -> None:
        """`told` is what is made of the data of an event."""
        self._connect = connect
        self._told = told
        self._is_over = is_over
        self._after = after
        self._ends_at = None if timeout_s is None else time.monotonic() + timeout_s
        self._pause_s = _FIRST_PAUSE_S
        self._lost_at: Optional[float] = None  # since when nothing can be heard
        self._is_final = False  # whether the state that was told last is a final one
        self._stopped = threading.Event()
        self._exchange: Optional[Exchange] = None  # the connection that is open

    def stop(self) -> None:
        """Ends `events`, from whichever thread and whatever it waits for; the job goes on."""
        self._stopped.set()
        exchange = self._exchange
        if exchange is not None:
            exchange.abort()

    def events(self) -> Generator[JobEvent, None, None]:
        """Each event as it comes. Raises ServerError; TimedOut when the time is up."""
        while not self._stopped.is_set():
            before = self._after
            try:
                yield from self._one_connection()
                if self._is_final or self._stopped.is_set() or (self._after == before and self._is_over()):
                    return
            except PASSING:
                self._time_left(0.0)
                if not self._stopped.is_set() and self._is_away_for_long():
                    raise
            except errors.Unauthorised:  # of a server that came anew, unless it is the one just found
                if self._lost_at is not None:
                    raise
                self._lost_at = time.monotonic()
            self._stopped.wait(self._time_left(self._pause_s))
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

    def _one_connection(self) -> Iterator[JobEvent]:
        with self._open() as exchange:
            if self._stopped.is_set():  # it came before there was a connection to end
                return
            if exchange.open(self._time_left(SILENCE_S)) != 200:
                exchange.rest(time.monotonic() + self._time_left(SILENCE_S))
                return
            parser = sse.Parser()
            piece = exchange.read(self._time_left(SILENCE_S))
            while piece:
                self._lost_at = None
                for event in _events(parser, piece, self._told):
                    if self._stopped.is_set():
                        return
                    if self._after is None or event.id > self._after:
                        self._note(event)
                        yield event
                piece = exchange.read(self._time_left(SILENCE_S))

    @contextlib.contextmanager
    def _open(self) -> Iterator[Exchange]:
        with contextlib.closing(self._connect(self._after, self._lost_at is not None)) as exchange:
            self._exchange = exchange
            try:
                yield exchange
            finally:
                self._exchange = None

    def _note(self, event: JobEvent) -> None:
        self._after = event.id
        self._pause_s = _FIRST_PAUSE_S
        if event.kind == "state":
            self._is_final = event.data.get("state") in FINAL_STATES

    def _is_away_for_long(self) -> bool:
        """Notes that the server cannot be heard, and says whether that has been so for too long."""
        now = time.monotonic()
        if self._lost_at is None:
            self._lost_at = now
        return now - self._lost_at > PATIENCE_S

    def _time_left(self, most: float) -> float:
        """Seconds until the time is up, `most` at most. Raises TimedOut when it is up."""
        if self._ends_at is None:
            return most
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise errors.TimedOut("that took longer than the time it was given; the job itself goes on in the queue")
        return min(left, most)


def _events(parser: sse.Parser, piece: bytes, told: Callable[[Any], Any]) -> List[JobEvent]:
    """The events that this piece of a stream completes; those of a kind that only newer hosts know are left out."""
    found = []
    try:
        for message in parser.feed(piece):
            values = json.loads(message.data)
            if values["kind"] in EVENT_KINDS:
                found.append(JobEvent.from_dict({**values, "data": told(values.get("data"))}))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise errors.BadAnswer(
            "the LayerFlow server sent an event that makes no sense; install the same LayerFlow on both sides"
        ) from error
    return found
