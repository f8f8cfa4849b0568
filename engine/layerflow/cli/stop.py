"""What Ctrl-C does: at first it ends the process at once; as soon as there is work to keep, it stops that work cleanly.

While libraries load, an exception out of a signal would reach native code that aborts on it, and there is nothing to
keep yet. Later the exception unwinds through the code that writes, which takes its unfinished files away.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_NOTICE = b"\nlayerflow: stopping; Ctrl-C again leaves at once\n"


def end_at_once() -> None:
    """Leaves SIGINT to the system, for a process that has nothing to keep yet."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Stop:
    """Whether a stop was asked for, once `keep_work` was called."""

    def __init__(self, *, raises: bool = True) -> None:
        """`raises`: in the middle of what it is at; otherwise that has to ask."""
        self._asked, self._raises = False, raises
        self._before: list[Any] = []

    def asked(self) -> bool:
        """Turns true with the first signal, for code that KeyboardInterrupt did not reach."""
        return self._asked

    def keep_work(self) -> None:
        """From now on the first SIGINT or SIGTERM asks for a stop; the second is the system's own."""
        if not self._before:
            self._before = [signal.signal(each, self._ask) for each in _SIGNALS]

    def restore(self) -> None:
        """Puts back the handling that was there before."""
        for each, handler in zip(_SIGNALS, self._before, strict=False):
            signal.signal(each, handler)
        self._before = []

    def _ask(self, signum: int, frame: FrameType | None) -> None:
        self._asked = True
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, _NOTICE)  # print may not be re-entered here
        if self._raises:
            raise KeyboardInterrupt


@contextmanager
def stop_on_signal(*, raises: bool = True) -> Iterator[Stop]:
    """A Stop whose handling of signals ends with the block; `raises` is its own."""
    stop = Stop(raises=raises)
    try:
        yield stop
    finally:
        stop.restore()
