"""Calls from other threads, made in Blender's main thread: nothing else may touch Blender's data."""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any

from layerflow.wire.run import Gone

TICK_S = 0.1  # between two looks
BUDGET_S = 0.02  # of one look; a call that has begun is ended, however long it takes


class NotNow(Exception):
    """A call that has to wait: it is made again at the next look."""


class Pump:
    """The queue of such calls."""

    def __init__(self) -> None:
        self._calls: collections.deque[tuple[Callable[[], Any], Future[Any]]] = collections.deque()
        self._closed = False
        self._lock = threading.Lock()

    def call(self, call: Callable[[], Any]) -> Any:
        """Has `call` made in the main thread, and gives or raises what came of it. Gone once the pump is closed."""
        if threading.current_thread() is threading.main_thread():
            return call()
        answer: Future[Any] = Future()
        with self._lock:
            if self._closed:
                raise Gone
            self._calls.append((call, answer))
        try:
            return answer.result()
        except CancelledError:
            raise Gone from None

    def drain(self) -> bool:
        """Makes the calls that wait, for a moment; whether some are left. The main thread's."""
        ends_at = time.monotonic() + BUDGET_S
        put_off = []
        while self._calls and time.monotonic() < ends_at:
            call, answer = self._calls.popleft()
            try:
                answer.set_result(call())
            except NotNow:
                put_off.append((call, answer))
            except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that asked
                answer.set_exception(error)
        self._calls.extend(put_off)
        return bool(self._calls) and not put_off

    def close(self) -> None:
        """Lets nobody wait any more: who waits hears that Blender is gone."""
        with self._lock:
            self._closed = True
            while self._calls:
                self._calls.popleft()[1].cancel()
