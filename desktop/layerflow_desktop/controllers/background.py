"""Work away from the interface's thread, and the way back into it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from layerflow.wire.errors import ServerError
from layerflow_desktop.models.picture import ClipError

T = TypeVar("T")
Post = Callable[[Callable[[], None]], None]  # has a call made in the interface's thread, soon and in order

EXPECTED = (ServerError, ClipError, OSError, ValueError)  # what an artist can do something about


class Background:
    """A few threads. What comes of their work is told in the interface's thread; nothing is told after `close`."""

    def __init__(self, post: Post, num_threads: int = 4, name: str = "layerflow") -> None:
        self._post = post
        self._pool = ThreadPoolExecutor(num_threads, name)
        self._is_closed = False

    def run(
        self,
        work: Callable[[], T],
        then: Callable[[T], None] = lambda value: None,
        failed: Callable[[str], None] = lambda message: None,
    ) -> None:
        """Has `work` done, then `then` told what it gave, or `failed` one sentence."""
        if not self._is_closed:
            self._pool.submit(work).add_done_callback(lambda future: self._over(future, then, failed))

    def close(self) -> None:
        """Waits for no work; what has not begun never does."""
        self._is_closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _over(self, future: Future[Any], then: Callable[[Any], None], failed: Callable[[str], None]) -> None:
        if self._is_closed or future.cancelled():
            return
        error = future.exception()
        if error is None:
            self._tell(lambda: then(future.result()))
        elif isinstance(error, EXPECTED):
            message = str(error)
            self._tell(lambda: failed(message))
        else:  # our own mistake: it comes up in the interface's thread, for its hook to say so
            self._tell(lambda: future.result())

    def _tell(self, call: Callable[[], Any]) -> None:
        def unless_closed() -> None:
            if not self._is_closed:
                call()

        self._post(unless_closed)
