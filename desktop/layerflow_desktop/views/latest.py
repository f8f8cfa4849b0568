"""Work for a widget in a thread of its own, of which only the latest counts."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any

from PySide6.QtCore import QCoreApplication, QDeadlineTimer, QEventLoop, QObject

from layerflow_desktop.views.post import Poster

EXPECTED = (OSError, ValueError)  # what an artist can do something about
Work = Callable[[], Any]


class Latest:
    """One thread. What was asked before the last `ask`, and has not begun, never does.

    `done` and `failed`, methods of the owner, are called in the interface's thread. The thread ends with the owner.
    """

    def __init__(self, owner: QObject, done: Callable[[Any], None], failed: Callable[[str], None], name: str) -> None:
        self._done = weakref.WeakMethod(done)  # the owner has this, not this the owner
        self._failed = weakref.WeakMethod(failed)
        self._poster = Poster(owner)
        self._pool = ThreadPoolExecutor(1, name)
        self._lock = Lock()
        self._work: Work | None = None
        self._num_untold = 0
        self._is_closed = False
        owner.destroyed.connect(lambda: self.close())

    def ask(self, work: Work) -> None:
        """Has `work` done in place of what still waits."""
        with self._lock:
            is_waiting, self._work = self._work is not None, work
            if self._is_closed or is_waiting:
                return
            self._num_untold += 1
        self._pool.submit(self._take).add_done_callback(self._over)

    @property
    def is_idle(self) -> bool:
        """Whether all is done and told."""
        return self._num_untold == 0

    def wait_idle(self, timeout_ms: int = 10_000) -> bool:
        """Whether all is done and told, in time. The interface's events go on meanwhile; for tests and pictures."""
        deadline = QDeadlineTimer(timeout_ms)
        while not self.is_idle and not deadline.hasExpired():
            QCoreApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 5)
        return self.is_idle

    def close(self) -> None:
        """Ends the thread, once it has done what it is at; nothing is told after it."""
        with self._lock:
            self._is_closed = True
            self._num_untold = 0
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _take(self) -> Any:
        with self._lock:
            work, self._work = self._work, None
        assert work is not None
        return work()

    def _over(self, future: Future[Any]) -> None:
        with self._lock:  # held, so that the poster is there as long as it is asked
            if not self._is_closed and not future.cancelled():
                self._poster(lambda: self._hear(future))

    def _hear(self, future: Future[Any]) -> None:
        done, failed = self._done(), self._failed()
        if self._is_closed or done is None or failed is None:
            return
        self._num_untold -= 1
        error = future.exception()
        if isinstance(error, EXPECTED):
            failed(str(error))
        else:
            done(future.result())  # our own mistake comes up here, for the interface's hook to say so
