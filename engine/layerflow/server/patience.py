"""A connection that does not wait for ever: for a head, for the rest of a body, or for its answer to be taken."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from layerflow.server.forms import MAX_HEAD_BYTES
from layerflow.server.problems import problem
from layerflow.server.settings import Limits


class PatientProtocol(H11Protocol):
    """HTTP as uvicorn speaks it, with an end to everything that a client could draw out."""

    limits: ClassVar[Limits] = Limits()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = _WholeBodies(h11.SERVER, MAX_HEAD_BYTES)
        self._waits_for: tuple[object, ...] | None = None
        self._hearing: asyncio.TimerHandle | None = None
        self._taking: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no whole request has come since the last answer."""
        return self.conn.their_state is h11.IDLE and not self.transport.is_closing()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes a new connection, in place of one that only waits where there are too many."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=1)  # so that we hear of what is not taken; of 0, TLS would for ever
        if self._make_room():
            self._listen()
        else:
            self._refuse(503, "Busy", "this server has too many connections open; try again in a moment")

    def data_received(self, data: bytes) -> None:
        """Takes up what came, and waits anew if that ended something."""
        super().data_received(data)
        self._listen()

    def on_response_complete(self) -> None:
        """Waits for the next request."""
        super().on_response_complete()
        self._listen()

    def _should_upgrade(self) -> bool:
        """There are no web sockets here; uvicorn would have its log advise to install some."""
        return False

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is told so, and nothing of why."""
        self._refuse(400, "BadRequest", "that is no request as this server reads them; send one with a Content-Length")

    def pause_writing(self) -> None:
        """Gives the client its time to take what was sent."""
        super().pause_writing()
        self._taking = self.loop.call_later(self.limits.patience_s, self.transport.abort)

    def resume_writing(self) -> None:
        """It has taken all."""
        super().resume_writing()
        _stop(self._taking)

    def connection_lost(self, exc: Exception | None) -> None:
        """Waits for nothing more."""
        super().connection_lost(exc)
        _stop(self._hearing)
        _stop(self._taking)

    def _listen(self) -> None:
        """Gives the client its time for a head or a body; what comes in pieces does not prolong it."""
        waits_for = (self.conn.their_state, self.cycle, self.cycle is None or self.cycle.response_complete)
        if waits_for == self._waits_for:
            return
        self._waits_for = waits_for
        _stop(self._hearing)
        if self.conn.their_state is h11.IDLE:
            self._hearing = self.loop.call_later(self.limits.patience_s, self._give_up)
        elif self.conn.their_state is h11.SEND_BODY:  # twice: the guard gives up before, and says so
            self._hearing = self.loop.call_later(2 * self._patience_s, self.transport.abort)

    @property
    def _patience_s(self) -> float:
        """For the rest of a body; none that is answered already is worth the time of a chunk."""
        is_answered = self.cycle is None or self.cycle.response_complete
        return self.limits.patience_s if is_answered else self.limits.patience_with(self.scope["method"])

    def _give_up(self) -> None:
        if self.conn.trailing_data[0]:
            self._refuse(408, "TooSlow", "the request did not come to an end in time; send it again")
        else:
            self.transport.close()

    def _make_room(self) -> bool:
        """Whether this connection may stay; the one that has waited longest for nothing goes where it has to."""
        others = [each for each in self.connections if isinstance(each, PatientProtocol) and each is not self]
        if sum(not each.transport.is_closing() for each in others) < self.limits.connections:
            return True
        idle = [each for each in others if each.is_idle and each._hearing]
        if idle:
            min(idle, key=lambda each: each._hearing.when() if each._hearing else 0.0).transport.abort()
        return bool(idle)

    def _refuse(self, status: int, kind: str, message: str) -> None:
        """Says no without asking the app, and hangs up."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()
            return
        answer = problem(status, kind, message, connection="close")
        head = h11.Response(status_code=status, headers=answer.raw_headers)
        for event in (head, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


class _WholeBodies(h11.Connection):
    """Takes no chunks: a client that sends a byte in each would keep the server busy with reading them."""

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request) and any(name == b"transfer-encoding" for name, _ in event.headers):
            raise h11.RemoteProtocolError("chunks")
        return event


def patient(limits: Limits) -> type[PatientProtocol]:
    """The protocol with these limits, for uvicorn's `http`."""
    return type("PatientProtocol", (PatientProtocol,), {"limits": limits})


def _stop(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
