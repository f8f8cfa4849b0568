"""Undo, views, plug-in paths, and other small functions."""

# ruff: noqa: N802  (Nuke's own names)

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from nuke import _brackets, _expression, _paths
from nuke._guard import Guarded, main_thread_only
from nuke._state import state


class Undo(Guarded):
    """Steps of Undo. The stand-in notes their names, and whether anything is noted at all."""

    @staticmethod
    def begin(name: str = "") -> None:
        """Begins a step."""
        if not state.undo_disabled:
            state.undo_names.append(name)

    new = begin

    @staticmethod
    def end() -> None:
        """Ends a step."""

    @staticmethod
    def cancel() -> None:
        """Takes a step back."""

    @staticmethod
    def name(name: str) -> None:
        """Names the step."""
        if state.undo_names:
            state.undo_names[-1] = name

    @staticmethod
    def disable() -> None:
        """From now on nothing is noted, until enable() was called as often."""
        state.undo_disabled += 1

    @staticmethod
    def enable() -> None:
        """Undoes one disable()."""
        if not state.undo_disabled:
            raise RuntimeError("Undo.enable() without Undo.disable()")
        state.undo_disabled -= 1

    @staticmethod
    def disabled() -> bool:
        """Whether nothing is noted."""
        return bool(state.undo_disabled)

    def __enter__(self) -> Undo:
        """Begins a step."""
        self.begin()
        return self

    def __exit__(self, *_: Any) -> None:
        """Ends it."""
        self.end()


@main_thread_only
def views() -> list[str]:
    """The names of the script's views."""
    return state.root.view_names()


@main_thread_only
def addView(name: str) -> None:
    """Nothing; the script has another view."""
    state.root.addView(name)


@main_thread_only
def deleteView(name: str) -> None:
    """Nothing; the view is gone."""
    state.root.deleteView(name)


@main_thread_only
def thisView() -> str:
    """The view that is evaluated just now."""
    return _paths.current_view()


@main_thread_only
def frame(number: int | None = None) -> int:
    """The frame that is evaluated just now, or that of the script; a number goes there."""
    if number is not None:
        state.root.setFrame(number)
    return _paths.current_frame()


@main_thread_only
def value(knob: str, default: str | None = None) -> str:
    """What a knob holds, as a text. RuntimeError where there is none and no default."""
    words = [knob] if default is None else [knob, default]
    return _brackets._value(words, state.now().node or state.now().group)


@main_thread_only
def expression(text: str) -> float:
    """What an expression gives."""
    return _expression.number(text, state.now().node or state.now().group, _paths.current_frame())


@main_thread_only
def filename(node: Any, which: int = 0) -> str | None:
    """The path in a node's file knob; with nuke.REPLACE its frame and view are filled in."""
    knob = node.knob("file")
    if knob is None:
        return None
    return knob.evaluate() if which else knob.getEvaluatedValue() or None  # type: ignore[no-any-return]


def pluginPath() -> list[str]:
    """The folders in which Nuke looks for plug-ins."""
    return list(state.plugin_paths)


def pluginAddPath(paths: str | list[str], addToSysPath: bool = True) -> None:
    """Nothing; folders come before the others."""
    for path in [paths] if isinstance(paths, str) else paths:
        _keep_path(path, 0, addToSysPath)


def pluginAppendPath(paths: str | list[str], addToSysPath: bool = True) -> None:
    """Nothing; folders come behind the others."""
    for path in [paths] if isinstance(paths, str) else paths:
        _keep_path(path, len(state.plugin_paths), addToSysPath)


def _keep_path(path: str, index: int, is_for_python: bool) -> None:
    """A path that begins with ./ is beside the file that is running."""
    if path.startswith("./"):
        path = str(Path(sys._getframe(2).f_globals.get("__file__", ".")).absolute().parent / path[2:])
    if path not in state.plugin_paths:
        state.plugin_paths.insert(index, path)
    if is_for_python and path not in sys.path:
        sys.path.insert(0, path)


@main_thread_only
def knobDefault(knob: str, default: str | None = None) -> str | None:
    """What new nodes hold in a knob such as Write.file_type; a value sets it."""
    if default is not None:
        state.knob_defaults[knob] = default
    return state.knob_defaults.get(knob)


@main_thread_only
def autoplace(node: Any = None) -> None:
    """Nothing; the node is somewhere else."""


def waitForThreadsToFinish() -> str:
    """Nothing of interest."""
    return ""
