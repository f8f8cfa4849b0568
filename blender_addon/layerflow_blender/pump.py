"""Calls from other threads, made in Blender's main thread: nothing else may touch Blender's data."""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable
from typing import Any

from layerflow.wire.run import Gone

TICK_S = 0.1  # between two looks
BUDGET_S = 0.02  # of one look; a call that has begun is ended, however long it takes
_GLANCE_S = 0.25  # after which who waits looks whether it is still wanted


class NotNow(Exception):
    """A call that has to wait: it is made again at the next look."""


class Pump:
    """The queue of such calls."""

    def __init__(self) -> None:
        self._waiting: collections.deque[_Call] = collections.deque()
        self._is_closed = False

    def call(self, call: Callable[[], Any], has_left: Callable[[], bool] = lambda: False) -> Any:
        """Has `call` made in the main thread, and gives or raises what came of it.

        Gone once the pump is closed or `has_left`; a call that had not begun by then is never made.
        """
        if threading.current_thread() is threading.main_thread():
            return call()
        made = _Call(call)
        self._waiting.append(made)
        while not made.is_over.wait(_GLANCE_S):
            if (self._is_closed or has_left()) and made.give_up():
                raise Gone
        return made.outcome()

    def drain(self) -> bool:
        """Makes the calls that wait, for a moment; whether there is more to do at once. The main thread's."""
        ends_at = time.monotonic() + BUDGET_S
        put_off = []
        while self._waiting and time.monotonic() < ends_at:
            made = self._waiting.popleft()
            if not made.make():
                put_off.append(made)
        is_more = bool(self._waiting)
        self._waiting.extend(put_off)
        return is_more

    def close(self) -> None:
        """Lets nobody wait any more: who waits hears that Blender is gone."""
        self._is_closed = True


class _Call:
    """One call, and what came of it."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._lock = threading.Lock()  # held while it is made
        self._is_given_up = False
        self._value: Any = None
        self._error: BaseException | None = None
        self.is_over = threading.Event()

    def make(self) -> bool:
        """Makes it; whether it is over, for it may have to wait."""
        with self._lock:
            if self._is_given_up:
                return True
            try:
                self._value = self._call()
            except NotNow:
                return False
            except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that asked
                self._error = error
            self.is_over.set()
            return True

    def give_up(self) -> bool:
        """Has it never made; whether it could still be stopped."""
        with self._lock:
            self._is_given_up = not self.is_over.is_set()
            return self._is_given_up

    def outcome(self) -> Any:
        """What it returned; raises what it raised."""
        if self._error is not None:
            raise self._error
        return self._value
