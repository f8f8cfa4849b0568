"""Works pictures out: every node asks those above it, for one frame and one view."""

from __future__ import annotations

import zlib
from typing import Any

from nuke import _ops, _picture, _read
from nuke._state import state

_NOT_OF_THE_PICTURE = frozenset(
    (
        *(
            "name",
            "help",
            "xpos",
            "ypos",
            "selected",
            "label",
            "icon",
            "tile_color",
            "gl_color",
            "bookmark",
            "indicators",
        ),
        *("note_font", "note_font_size", "note_font_color", "hide_input", "postage_stamp", "dope_sheet", "cached"),
        *("onCreate", "onDestroy", "knobChanged", "updateUI", "autolabel"),
    )
)


class NodeError(RuntimeError):
    """A node that can give no picture."""

    def __init__(self, node: Any, reason: str) -> None:
        """The error of one node."""
        super().__init__(f"{node.fullName()}: {reason}")
        self.node = node


def picture_of(node: Any, frame: int, view: str) -> _picture.Picture:
    """The picture of a node. RuntimeError where it, or one above it, has an error."""
    is_outermost = not state.pictures
    state.pictures.setdefault("pull", None)
    state.frame.append(int(frame))
    state.view.append(view)
    try:
        return _remembered(node, int(frame), view)
    finally:
        state.frame.pop()
        state.view.pop()
        if is_outermost:
            state.pictures.clear()


def _remembered(node: Any, frame: int, view: str) -> _picture.Picture:
    key = (node, frame, view)
    if key not in state.pictures:
        try:
            state.pictures[key] = _worked_out(node, frame, view)
        except NodeError:
            raise
        except RuntimeError as error:
            raise NodeError(node, str(error)) from error
    return state.pictures[key]  # type: ignore[no-any-return]


def _worked_out(node: Any, frame: int, view: str) -> _picture.Picture:
    def above(index: int) -> _picture.Picture | None:
        other = node.input(index)
        return None if other is None else picture_of(other, frame, view)

    if node["disable"].value():
        return above(0) or _picture.empty()
    kind = node.Class()
    if kind in ("Group", "Root"):
        output = node.output()
        return _picture.empty() if output is None else picture_of(output, frame, view)
    if kind == "Input":
        other = outside(node)
        return _picture.empty() if other is None else picture_of(other, frame, view)
    if kind == "Read":
        return _read.read(node, frame, view)
    return _ops.OPERATIONS.get(kind, _ops.passed)(node, above)


def outside(node: Any) -> Any:
    """The node that is connected to the group input that an Input stands for; None where none is."""
    group = node.parent()
    return group.input(group._input_nodes().index(node))


def own_error(node: Any, frame: int, view: str) -> NodeError | None:
    """The node's own error; None where it has none, or another one above has."""
    try:
        picture_of(node, frame, view)
    except NodeError as error:
        return error if error.node is node else None
    return None


def span_of(node: Any) -> tuple[int, int]:
    """First and last frame of a node's picture: of the Reads that it shows, else of the script."""
    kind = node.Class()
    if kind == "Root":
        return int(node["first_frame"].value()), int(node["last_frame"].value())
    if kind == "Read":
        return int(node["first"].value()), int(node["last"].value())
    spans = [span_of(each) for each in _shown(node, kind) if each is not None]
    if not spans:
        return span_of(state.root)
    return min(first for first, _ in spans), max(last for _, last in spans)


def _shown(node: Any, kind: str) -> list[Any]:
    if kind == "Group":
        return [node.output()]
    if kind == "Input":
        return [outside(node)]
    return [node.input(_ops.chosen(node))] if kind == "Switch" else list(node._inputs)


def hash_of(node: Any) -> int:
    """A number that changes where the picture would be another one."""
    knobs = [
        f"{k.name()} {k.toScript()}" for k in node.allKnobs() if k.is_value and k.name() not in _NOT_OF_THE_PICTURE
    ]
    inner = [hash_of(each) for each in node.nodes()] if hasattr(node, "nodes") else []
    above = [0 if each is None else hash_of(each) for each in node._inputs]
    beside = outside(node) if node.Class() == "Input" else None
    text = repr((node.Class(), knobs, inner, above, beside and hash_of(beside), state.reloads[node.fullName()]))
    return zlib.crc32(text.encode())
