"""Dialogs, which tests answer, and what is printed."""

# ruff: noqa: N802  (Nuke's own names)

from __future__ import annotations

from typing import Any

from nuke._guard import main_thread_only
from nuke._state import state


def _asked(prompt: str, default: Any) -> Any:
    """Notes what a dialog says; its answer. RuntimeError in a Nuke without a window."""
    if not state.gui:
        raise RuntimeError("this function cannot be called without a GUI")
    state.messages.append(prompt)
    return state.answers.popleft() if state.answers else default


@main_thread_only
def message(prompt: str) -> None:
    """Nothing, once somebody pressed OK."""
    if not isinstance(prompt, str):
        raise TypeError(f"message() argument 1 must be str, not {type(prompt).__name__}")
    if not state.gui:
        raise RuntimeError("this function cannot be called without a GUI")
    state.messages.append(prompt)


alert = message


@main_thread_only
def ask(prompt: str) -> bool:
    """Whether somebody pressed Yes; they do, unless a test answers."""
    return bool(_asked(prompt, True))


@main_thread_only
def askWithCancel(prompt: str) -> bool:
    """Whether somebody pressed Yes. CancelledError for Cancel, which an answer None is."""
    answer = _asked(prompt, True)
    if answer is None:
        raise CancelledError("cancelled")
    return bool(answer)


@main_thread_only
def getFilename(message: str, pattern: str = "", default: str = "", *_: Any, **__: Any) -> Any:
    """The path that somebody chose; None where they cancelled, which they do unless a test answers."""
    return _asked(message, None)


@main_thread_only
def getClipname(prompt: str, pattern: str = "", default: str = "", multiple: bool = False) -> Any:
    """The path and range that somebody chose; None where they cancelled."""
    return _asked(prompt, None)


@main_thread_only
def getInput(prompt: str, default: str = "") -> Any:
    """What somebody typed; None where they cancelled."""
    return _asked(prompt, None)


@main_thread_only
def choice(title: str, prompt: str, options: list[str], default: int = 0) -> int:
    """The number of the option that somebody chose."""
    return int(_asked(prompt, default))


class CancelledError(Exception):
    """Somebody pressed Cancel."""


def _printed(prefix: str, text: str) -> None:
    state.printed.append(f"{prefix}{text}")


def tprint(*values: Any, sep: str = " ", end: str = "\n", file: Any = None) -> None:
    """Nothing; the values are on the terminal. May be called in any thread."""
    _printed("", sep.join(map(str, values)) + end.rstrip("\n"))


def debug(message: str) -> None:
    """Nothing; the text is in the error console if it shows that much."""
    _printed("DEBUG: ", message)


def warning(message: str) -> None:
    """Nothing; the text is in the error console."""
    _printed("WARNING: ", message)


def error(message: str) -> None:
    """Nothing; the text is in the error console."""
    _printed("ERROR: ", message)


def critical(message: str) -> None:
    """Nothing; the text is in the error console and in a dialog."""
    _printed("CRITICAL: ", message)
    if state.gui:
        state.messages.append(message)


class ProgressTask:
    """A bar with a button to cancel. It may be used in any thread, as Nuke's own examples do."""

    def __init__(self, title: str = "") -> None:
        """A bar that says what is done."""
        self.title, self.progress, self.messages = title, 0, list[str]()
        self.cancelled = False  # a test sets it to press the button
        state.tasks.append(self)

    def setProgress(self, progress: int) -> None:
        """Sets the bar, in percent."""
        if not isinstance(progress, int):
            raise TypeError(f"setProgress() argument 1 must be int, not {type(progress).__name__}")
        self.progress = progress

    def setMessage(self, message: str) -> None:
        """Sets the text below the bar."""
        self.messages.append(message)

    def isCancelled(self) -> bool:
        """Whether somebody pressed the button."""
        return self.cancelled
