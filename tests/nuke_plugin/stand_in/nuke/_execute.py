"""Rendering."""

# ruff: noqa: N802  (Nuke's own names)

from __future__ import annotations

from typing import Any

from nuke import _curve_tool, _write
from nuke._callbacks import run_registered, run_script_knob
from nuke._find import toNode
from nuke._frames import FrameRange, FrameRanges
from nuke._guard import main_thread_only
from nuke._node import Node
from nuke._state import state

BUSY = "I'm already executing something else"


def _frames_of(args: tuple[Any, ...]) -> tuple[list[int], tuple[Any, ...]]:
    """The frames that execute() was given, and the arguments behind them."""
    if args and isinstance(args[0], (FrameRange, FrameRanges)):
        found = args[0]
        return (found.toFrameList() if isinstance(found, FrameRanges) else list(found)), args[1:]
    if len(args) < 2:
        return [state.root.frame()], args[1:]
    step = args[2] if len(args) > 2 and isinstance(args[2], int) else 1
    return list(range(int(args[0]), int(args[1]) + 1, max(1, step))), args[3:]


@main_thread_only
def execute(node: Node | str, *args: Any, **named: Any) -> None:
    """Nothing, once a Write or CurveTool was rendered: first, last, step, views. RuntimeError with a reason."""
    found = toNode(node) if isinstance(node, str) else node
    if not isinstance(found, Node):
        raise RuntimeError(f"{node}: no such node")
    if "start" in named:
        args = (named["start"], named.get("end", named["start"]), named.get("incr", 1), *args)
    frames, rest = _frames_of(args)
    views = named.get("views") or (rest[0] if rest else None) or _views_of(found)
    executeMultiple((found,), [(frame, frame, 1) for frame in frames], views)


render = execute


def _views_of(node: Node) -> list[str]:
    knob = node.knob("views")
    chosen = str(knob.value()).split() if knob is not None else []
    there = state.root.view_names()
    return [view for view in chosen if view in there] or there


@main_thread_only
def executeMultiple(nodes: Any, ranges: Any = (), views: Any = None, continueOnError: bool = False) -> None:
    """Nothing, once several were rendered, frame by frame."""
    if state.is_executing:
        raise RuntimeError(BUSY)
    for node in nodes:
        if not node._spec.is_executable:
            raise RuntimeError(f"{node.fullName()} is not executable")
    spans = list(ranges) or [(state.root.firstFrame(), state.root.lastFrame(), 1)]
    state.is_executing = True
    try:
        _all(list(nodes), [frame for first, last, step in spans for frame in range(first, last + 1, step)], views)
    finally:
        state.is_executing = False


def _all(nodes: list[Node], frames: list[int], views: Any) -> None:
    for node in nodes:
        _tell("beforeRender", node)
    for frame in frames:
        for node in nodes:
            for view in views or _views_of(node):
                _one(node, frame, view)
    for node in nodes:
        _tell("afterRender", node)


def _one(node: Node, frame: int, view: str) -> None:
    if view not in state.root.view_names():
        raise RuntimeError(f"{view}: no such view")
    state.frame.append(frame)
    state.view.append(view)
    try:
        if state.cancel_at_frame == frame:
            raise RuntimeError("Cancelled")
        _tell("beforeFrameRender", node)
        {"Write": _write.write_frame, "CurveTool": _curve_tool.measure}[node._class](node, frame, view)
        state.rendered.append((node.fullName(), frame, view))
        _tell("afterFrameRender", node)
    finally:
        state.frame.pop()
        state.view.pop()


def _tell(event: str, node: Node) -> None:
    with state.at(node._inside_or_around(), node):
        run_script_knob(event, node)
        run_registered(event, node)


@main_thread_only
def executing(frame: float | None = None) -> bool:
    """Whether something is rendered just now."""
    return state.is_executing


@main_thread_only
def cancel() -> None:
    """Nothing; what is rendered just now ends before its next frame."""
    state.cancel_at_frame = None if not state.frame else state.frame[-1] + 1
