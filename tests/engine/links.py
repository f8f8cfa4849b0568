"""A network between a client and a server of this machine that breaks as often as it is told to."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

HOST = "127.0.0.2"  # by which the server has to be called too

_PIECE = 1 << 16  # bytes


@dataclass
class Link:
    """The same port at another address of this machine, HOST, and what happens on the way from there."""

    target: int
    drops_after: int | None = None  # bytes of both ways that one connection lives for
    spoils: Callable[[bytes], bytes] = bytes  # what becomes of the bytes that the client sends
    spoils_back: Callable[[bytes], bytes] = bytes  # and of those that it is sent
    is_down: bool = False  # whether nobody comes through
    drops: int = 0  # so far
    sent: int = 0  # bytes that came from the client
    came: int = 0  # bytes that went to it
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _socket: socket.socket = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._socket = socket.create_server((HOST, self.target))

    def serve(self) -> None:
        """Leads every connection on until `close`."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                threading.Thread(target=self._lead, args=(client,), daemon=True).start()

    def close(self) -> None:
        """Takes no more connections."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _lead(self, client: socket.socket) -> None:
        with client:
            if self.is_down:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:  # nobody is there just now
                return
            with server:
                left = _Left(self.drops_after)
                back = threading.Thread(target=self._pass_on, args=(server, client, left, False), daemon=True)
                back.start()
                self._pass_on(client, server, left, True)
                back.join()
                self.drops += left.is_over

    def _pass_on(self, source: socket.socket, goal: socket.socket, left: _Left, is_there: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE):
                piece = (self.spoils if is_there else self.spoils_back)(piece)
                piece = piece[: left.take(len(piece))]
                with self._lock:
                    self.sent += len(piece) if is_there else 0
                    self.came += 0 if is_there else len(piece)
                goal.sendall(piece)
                if left.is_over:
                    break
        for end in (source, goal):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR if left.is_over else socket.SHUT_WR)


class _Left:
    """How many bytes a connection still lives for."""

    def __init__(self, most: int | None) -> None:
        self._left, self._lock = most, threading.Lock()

    @property
    def is_over(self) -> bool:
        return self._left == 0

    def take(self, wanted: int) -> int:
        with self._lock:
            if self._left is None:
                return wanted
            taken = min(wanted, self._left)
            self._left -= taken
            return taken


@contextlib.contextmanager
def link_to(target: int, **values: object) -> Iterator[Link]:
    """A link to a port until the block ends."""
    link = Link(target, **values)  # type: ignore[arg-type]
    thread = threading.Thread(target=link.serve, daemon=True)
    thread.start()
    try:
        yield link
    finally:
        link.close()
        thread.join(10)
