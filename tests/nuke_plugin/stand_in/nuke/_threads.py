"""Nuke's API is for the main thread; two functions get there from others."""

# ruff: noqa: N802  (Nuke's own names)

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from nuke._callbacks import guarded
from nuke._guard import check_thread
from nuke._state import state

Answer = TypeVar("Answer")


def _as_tuple(args: Any) -> tuple[Any, ...]:
    return args if isinstance(args, tuple) else (args,)


def executeInMainThread(call: Callable[..., Any], args: Any = (), kwargs: Any = {}) -> None:  # noqa: B006
    """Nothing, at once; `call` runs when the main thread is free. May be called in any thread."""
    state.queue.append(functools.partial(guarded, functools.partial(call, *_as_tuple(args), **kwargs)))


def executeInMainThreadWithResult(call: Callable[..., Any], args: Any = (), kwargs: Any = {}) -> Any:  # noqa: B006
    """What `call` returns in the main thread, or None where it raises; Nuke prints the traceback then."""
    if threading.current_thread() is state.main_thread:
        raise RuntimeError("executeInMainThreadWithResult was called in the main thread; Nuke would hang here")
    done, answer = threading.Event(), []

    def run() -> None:
        try:
            answer.append(guarded(functools.partial(call, *_as_tuple(args), **kwargs)))
        finally:
            done.set()

    state.queue.append(run)
    done.wait()
    return answer[0] if answer else None


def run_queued() -> int:
    """How many calls of other threads were run."""
    check_thread("running what is queued")
    count = 0
    while state.queue:
        call = state.queue.popleft()
        with state.at(state.root):
            call()
        count += 1
    return count
