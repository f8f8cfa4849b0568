"""Functions that Nuke calls when something happens: nuke.addOnCreate and so on, and the knobs of the same names."""

# ruff: noqa: N802, N816  (Nuke's own names)

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nuke._guard import main_thread_only
from nuke._state import state

if TYPE_CHECKING:
    from nuke._knob import Knob
    from nuke._node import Node


def guarded(call: Callable[[], Any]) -> Any:
    """What `call` returns; None where it raises: Nuke shows the traceback in its Script Editor and goes on."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001  # whatever a callback raises; tests look at the list
        traceback.print_exc()
        state.callback_errors.append(error)
        return None


def _register(event: str, call: Any, args: Any, kwargs: Any, node_class: str, node: Any = None) -> None:
    if not callable(call):
        raise ValueError("call must be a callable")
    if not isinstance(kwargs, dict):
        raise ValueError("kwargs must be a dictionary")
    entry = (call, args if isinstance(args, tuple) else (args,), kwargs, node)
    entries = state.callbacks[event].setdefault(node_class, [])
    if entry in entries:
        entries.remove(entry)
    entries.append(entry)


def _forget(event: str, call: Any, args: Any, kwargs: Any, node_class: str, node: Any = None) -> None:
    entry = (call, args if isinstance(args, tuple) else (args,), kwargs, node)
    entries = state.callbacks[event].get(node_class, [])
    if entry in entries:
        entries.remove(entry)


def run_registered(event: str, node: Node) -> None:
    """Calls what was added for the node's class, then what was added for all; one that raises ends the row."""

    def call_all() -> None:
        for node_class in (node.Class(), "*"):
            for call, args, kwargs, only in list(state.callbacks[event].get(node_class, [])):
                if only is None or only is node:
                    call(*args, **kwargs)

    guarded(call_all)


def run_script_knob(event: str, node: Node) -> None:
    """Runs the Python text of the node's own knob of that name."""
    knob = node.knob(event)
    code = "" if knob is None else str(knob.value() or "")
    if code.strip():
        guarded(lambda: run_code(code, f"<{node.fullName()}.{event}>"))


def run_code(code: str, name: str) -> None:
    """Runs Python text as Nuke does: in the namespace of `__main__`, where `nuke` is known."""
    import __main__
    import nuke

    vars(__main__).setdefault("nuke", nuke)
    exec(compile(code, name, "exec"), vars(__main__))


def fire(event: str, node: Node, knob: Knob | None = None) -> None:
    """Tells everybody that something happened to a node: its own knob first, then what was added."""
    from nuke._group import Group

    inner = node if isinstance(node, Group) else node.parent() or state.root
    with state.at(inner, node, knob):
        run_script_knob(event, node)
        run_registered(event, node)


def knob_changed(node: Node | None, knob: Knob) -> None:
    """Tells everybody that a knob changed. What a callback changes on the same node is not told again."""
    if node is None or state.is_loading or id(node) in state.in_knob_changed:
        return
    state.in_knob_changed.add(id(node))
    try:
        fire("knobChanged", node, knob)
    finally:
        state.in_knob_changed.discard(id(node))


def _pair(event: str, node_class: str = "*") -> tuple[Callable[..., None], Callable[..., None]]:
    @main_thread_only
    def add(call: Any, args: Any = (), kwargs: Any = {}, nodeClass: str = node_class, **more: Any) -> None:  # noqa: B006
        """Has a function called when that happens."""
        _register(event, call, args, kwargs, nodeClass, more.get("node"))

    @main_thread_only
    def remove(call: Any, args: Any = (), kwargs: Any = {}, nodeClass: str = node_class, **more: Any) -> None:  # noqa: B006
        """Has a function not called any more."""
        _forget(event, call, args, kwargs, nodeClass, more.get("node"))

    return add, remove


addOnUserCreate, removeOnUserCreate = _pair("onUserCreate")
addOnCreate, removeOnCreate = _pair("onCreate")
addOnScriptLoad, removeOnScriptLoad = _pair("onScriptLoad", "Root")
addOnScriptSave, removeOnScriptSave = _pair("onScriptSave", "Root")
addOnScriptClose, removeOnScriptClose = _pair("onScriptClose", "Root")
addOnDestroy, removeOnDestroy = _pair("onDestroy")
addKnobChanged, removeKnobChanged = _pair("knobChanged")
addUpdateUI, removeUpdateUI = _pair("updateUI")
addBeforeRender, removeBeforeRender = _pair("beforeRender", "Write")
addBeforeFrameRender, removeBeforeFrameRender = _pair("beforeFrameRender", "Write")
addAfterFrameRender, removeAfterFrameRender = _pair("afterFrameRender", "Write")
addAfterRender, removeAfterRender = _pair("afterRender", "Write")
addFilenameFilter, removeFilenameFilter = _pair("filenameFilter")


@main_thread_only
def filenameFilter(filename: str) -> Any:
    """The file name after every filter that was added, the last one first."""
    entries = list(state.callbacks["filenameFilter"].get("*", []))
    node = state.now().node
    if node is not None:
        entries += state.callbacks["filenameFilter"].get(node.Class(), [])
    for call, args, kwargs, _ in reversed(entries):
        filtered = call(filename, *args, **kwargs)
        filename = filename if filtered is None else filtered
    return filename
