"""The stand-in's one strictness: Nuke may crash when its API is used in another thread, the stand-in always says so."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from nuke._state import state

Function = TypeVar("Function", bound=Callable[..., Any])


def check_thread(what: str) -> None:
    """Raises RuntimeError in any thread but the main one."""
    if threading.current_thread() is not state.main_thread:
        raise RuntimeError(
            f"nuke: {what} was called in the thread {threading.current_thread().name!r}; "
            "only the main thread may, use nuke.executeInMainThread"
        )


def main_thread_only(function: Function) -> Function:
    """The function, which raises RuntimeError in other threads, and ValueError for a node that was deleted."""

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        check_thread(function.__qualname__)
        if args and getattr(args[0], "_is_gone", False):
            raise ValueError("A PythonObject is not attached to a node")
        return function(*args, **kwargs)

    return checked  # type: ignore[return-value]


class Guarded:
    """A class of the API: its public methods are for the main thread only."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Guards the public methods that the class adds."""
        super().__init_subclass__(**kwargs)
        for name, value in list(vars(cls).items()):
            is_public = not name.startswith("_") or name in ("__init__", "__getitem__", "__enter__")
            if not is_public or isinstance(value, type):
                continue
            if isinstance(value, staticmethod):
                setattr(cls, name, staticmethod(main_thread_only(value.__func__)))
            elif callable(value):
                setattr(cls, name, main_thread_only(value))
