"""Ctrl-C, asked once, stops between two steps and keeps the state; asked twice, it leaves at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_NOTICE = b"\nlayerflow: stopping after this step; Ctrl-C again leaves at once\n"


@contextmanager
def stop_on_signal() -> Iterator[Callable[[], bool]]:
    """A function that turns true when SIGINT or SIGTERM arrives.

    The first signal puts the system's own handling back, so a second one ends the process even in the middle of a long
    computation, where Python code would not get a turn.
    """
    asked = threading.Event()

    def ask(signum: int, frame: FrameType | None) -> None:
        asked.set()
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, _NOTICE)  # print may not be re-entered here

    before = [signal.signal(each, ask) for each in _SIGNALS]
    try:
        yield asked.is_set
    finally:
        for each, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(each, handler)
