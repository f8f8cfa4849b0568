"""The one file that talks to Nuke. What it is told it does; it decides nothing.

Everything here is called in Nuke's main thread, but `in_main_thread`, which gets there. Menu and callbacks are
registered in `startup`, so that Nuke's start loads none of this.
"""

from __future__ import annotations

import contextlib
import os
import threading
import webbrowser
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple, cast

import nuke

from layerflow.wire.run import Gone, HostError
from layerflow_nuke.asking import Script
from layerflow_nuke.graph import COLUMN, LAYERS, ROW, Piece
from layerflow_nuke.knobs import Knob
from layerflow_nuke.panel import MARK, PANEL

RED, NO_COLOR = 0xB02020FF, 0
# Knobs that change nothing in a picture.
_OF_THE_EYE = {"xpos", "ypos", "selected", "name", "label", "icon", "tile_color", "gl_color", "hide_input", "cached"}
_OF_THE_EYE |= {"note_font", "note_font_size", "note_font_color", "postage_stamp", "dope_sheet", "bookmark"}
_OF_THE_EYE |= {"indicators", "version"}  # the latter counts how often a Read was reloaded; its files tell more
_OF_A_JOB = {"status", "state", "jobs", "scratch"}  # of another LayerFlow node above

_CLASSES: Dict[str, Callable[[Knob], Any]] = {
    "tab": lambda knob: nuke.Tab_Knob(knob.name, knob.label),
    "divider": lambda knob: nuke.Text_Knob(knob.name, ""),
    "string": lambda knob: nuke.String_Knob(knob.name, knob.label),
    "multiline": lambda knob: nuke.Multiline_Eval_String_Knob(knob.name, knob.label),
    "file": lambda knob: nuke.File_Knob(knob.name, knob.label),
    "int": lambda knob: nuke.Int_Knob(knob.name, knob.label),
    "double": lambda knob: nuke.Double_Knob(knob.name, knob.label),
    "bool": lambda knob: nuke.Boolean_Knob(knob.name, knob.label),
    "choice": lambda knob: nuke.Enumeration_Knob(knob.name, knob.label, list(knob.choices)),
    "button": lambda knob: nuke.PyScript_Knob(knob.name, knob.label, knob.code),
}


def is_interactive() -> bool:
    """Whether somebody looks, and not only `nuke -t` or a farm."""
    return bool(nuke.GUI)


def in_main_thread(call: Callable[[], Any]) -> Any:
    """What `call` gives or raises in the main thread, which may be this one."""
    if not nuke.GUI or threading.current_thread() is threading.main_thread():
        return call()
    done, answer, raised = threading.Event(), [], []  # type: threading.Event, List[Any], List[BaseException]

    def run() -> None:
        try:
            answer.append(call())
        except BaseException as error:  # noqa: BLE001  # raised again in the thread that asked
            raised.append(error)
        done.set()

    nuke.executeInMainThread(run)
    done.wait()
    if raised:
        raise raised[0]
    return answer[0]


def tell(text: str) -> None:
    """One dialog; a line on the terminal where nobody looks."""
    if nuke.GUI:
        nuke.message(text)
    else:
        nuke.tprint(text)


def open_folder(path: str) -> None:
    """Shows a folder in the system's file browser."""
    webbrowser.open(Path(path).as_uri())


def script() -> Script:
    """What of the script and its settings a request depends on."""
    root = nuke.root()
    space = root.knob("workingSpaceLUT")
    return Script(
        path="" if root.name() == "Root" else root.name(),
        first_frame=root.firstFrame(),
        last_frame=root.lastFrame(),
        fps=float(root["fps"].value()),
        working_space=str(space.value()) if space is not None else "linear",
        views=tuple(nuke.views()),
        is_proxy=bool(root["proxy"].value()),
    )


def open_script(path: str) -> None:
    """Opens a script. Raises HostError where Nuke cannot."""
    try:
        nuke.scriptOpen(path)
    except RuntimeError as error:
        raise HostError(f"Nuke could not open {path} ({error})") from error


def make_group() -> nuke.Group:
    """A new, empty Group below what is selected, with the knobs of the panel. It has no inputs yet."""
    group = cast("nuke.Group", nuke.createNode("Group", "name LayerFlow1", inpanel=False))
    for knob in PANEL:
        group.addKnob(_made(knob))
    group.setTab(0)
    return group


def _made(knob: Knob) -> nuke.Knob:
    made: nuke.Knob = _CLASSES[knob.kind](knob)
    made.setTooltip(knob.help)
    if knob.range != (0.0, 0.0) and isinstance(made, nuke.Double_Knob):
        made.setRange(*knob.range)
    if knob.default is not None:
        made.setValue(knob.default)
    if knob.same_line:
        made.clearFlag(nuke.STARTLINE)
    elif knob.kind in ("button", "bool"):
        made.setFlag(nuke.STARTLINE)
    if knob.hidden:
        made.setFlag(nuke.INVISIBLE)
    if knob.kind in ("int", "double", "choice", "bool"):
        made.setFlag(nuke.NO_ANIMATION)
    return made


def selected() -> Optional[nuke.Node]:
    """The one node that is selected; None where none is, or several are."""
    found = nuke.selectedNodes()
    return found[0] if len(found) == 1 else None


def connect(group: nuke.Group, index: int, node: Optional[nuke.Node]) -> None:
    """Connects an input."""
    group.setInput(index, node)


def nodes() -> List[nuke.Group]:
    """Every LayerFlow node of the script, inside groups too."""
    return [cast("nuke.Group", node) for node in nuke.allNodes("Group", recurseGroups=True) if is_ours(node)]


def is_ours(node: nuke.Node) -> bool:
    """Whether it is a LayerFlow node."""
    return node.knob(MARK) is not None


def full_name(node: nuke.Node) -> str:
    """The name by which a script finds a node. Raises Gone where it was deleted."""
    try:
        return str(node.fullName())
    except ValueError as error:  # how Nuke says that a node is no more
        raise Gone from error


def values(node: nuke.Node) -> Dict[str, Any]:
    """What the knobs of the panel hold; of a path with its expressions. An older node lacks some: their defaults."""
    full_name(node)
    found = {knob: node.knob(knob.name) for knob in PANEL if knob.is_value}
    return {knob.name: knob.default if held is None else held.value() for knob, held in found.items()}


def worked_out(node: nuke.Node, text: str, view: str) -> str:
    """The path that `text` is on this node: expressions and a studio's own filters worked out, the frame still %04d."""
    context = nuke.OutputContext()
    context.setView(nuke.views().index(view) + 1)  # 0 is the default one
    scratch = cast("nuke.File_Knob", node["scratch"])
    with _unnoticed():
        scratch.setValue(text)
        found = str(scratch.getEvaluatedValue(context) or "")
        scratch.setValue("")
    return str(nuke.filenameFilter(found) or found)  # type: ignore[no-untyped-call]  # the stubs have none


def set_values(node: nuke.Node, changes: Mapping[str, Any]) -> None:
    """Sets knobs where that changes something, without a place in Undo. Raises Gone where the node was deleted."""
    full_name(node)
    with _unnoticed():
        for name, value in changes.items():
            if node[name].value() != value:
                node[name].setValue(value)


def offer(node: nuke.Node, knob: str, choices: List[str]) -> None:
    """Sets what a pulldown offers; what it is at stays where that is still offered."""
    pulldown = cast("nuke.Enumeration_Knob", node[knob])
    now = str(pulldown.value())
    if list(pulldown.values()) != choices:
        pulldown.setValues(choices)
        pulldown.setValue(now if now in choices else choices[0])


def enable(node: nuke.Node, knobs: Iterable[Tuple[str, bool]]) -> None:
    """Greys out knobs or not."""
    for name, enabled in knobs:
        knob = node.knob(name)
        if knob is not None:
            knob.setEnabled(enabled)


@contextlib.contextmanager
def _unnoticed() -> Iterator[None]:
    """Changes that nobody made by hand: Undo leaves them alone."""
    nuke.Undo.disable()
    try:
        yield
    finally:
        nuke.Undo.enable()


def add_layers(names: Iterable[str]) -> None:
    """Makes layers known to the script, as a Read of such a file does."""
    for name in names:
        nuke.Layer(name, [f"{name}.{channel}" for channel in LAYERS.get(name, LAYERS["foreground"])])


def place_inside(group: nuke.Group, pieces: Iterable[Piece]) -> None:
    """Makes the nodes of `pieces` inside a group, or sets up those that are there."""
    with group:
        _place(pieces, lambda piece: nuke.toNode(piece.name) or _made_node(piece, (0, 0)))


def place_beside(node: nuke.Node, pieces: Iterable[Piece], column: int = 1) -> List[nuke.Node]:
    """New nodes for `pieces` beside a node, so many columns to its right."""
    origin = node.xpos() + column * COLUMN, node.ypos()
    parent = nuke.toNode(full_name(node).rpartition(".")[0])
    with cast("nuke.Group", parent) if parent is not None else nuke.root():
        return _place(pieces, lambda piece: _made_node(piece, origin))


def _place(pieces: Iterable[Piece], node_of: Callable[[Piece], nuke.Node]) -> List[nuke.Node]:
    wanted = list(pieces)
    found = {piece.name: node_of(piece) for piece in wanted}
    for piece in wanted:
        _set_up(found[piece.name], piece, found)
    return list(found.values())


def _made_node(piece: Piece, origin: Tuple[int, int]) -> nuke.Node:
    node: nuke.Node = getattr(nuke.nodes, piece.kind)()
    node.setName(piece.name)  # which Nuke makes another where there is one of that name
    node.setXYpos(origin[0] + COLUMN * piece.at[0], origin[1] + ROW * piece.at[1])
    return node


def _set_up(node: nuke.Node, piece: Piece, others: Mapping[str, nuke.Node]) -> None:
    for i, name in enumerate(piece.inputs):
        node.setInput(i, None if name is None else others.get(name) or nuke.toNode(name))
    for knob, value in piece.knobs.items():
        node[knob].setValue(value)
    for knob, expression in piece.expressions.items():
        node[knob].setExpression(expression)


def inside(group: nuke.Group, name: str) -> nuke.Node:
    """A node inside a group. Raises HostError where somebody took it out."""
    full_name(group)
    node = group.node(name)
    if node is None:
        raise HostError(f"{group.name()} has no {name} inside any more; place a new LayerFlow node")
    return node


def remove_others(group: nuke.Group, pieces: Iterable[Piece], prefixes: Tuple[str, ...]) -> None:
    """Takes out of a group what begins with one of `prefixes` and is not among `pieces`."""
    kept = {piece.name for piece in pieces}
    for node in group.nodes():
        if node.name().startswith(prefixes) and node.name() not in kept:
            nuke.delete(node)


def connected(group: nuke.Group, names: Iterable[str]) -> Tuple[str, ...]:
    """Those of the inputs, in Nuke's order, to which something is connected."""
    return tuple(name for i, name in enumerate(names) if group.input(i) is not None)


def input_range(group: nuke.Group, index: int) -> Optional[Tuple[int, int]]:
    """First and last frame of what is connected to an input; None where nothing is."""
    node = group.input(index)
    return None if node is None else (node.firstFrame(), node.lastFrame())


def fingerprint(group: nuke.Group, index: int) -> str:
    """A text that changes when what is connected to an input would give another picture."""
    lines, waiting, seen = [], [group.input(index)], set()  # type: List[str], List[Optional[nuke.Node]], set[str]
    while waiting:
        node = waiting.pop()
        if node is None or node.fullName() in seen or node.Class() == "Root":
            continue
        seen.add(node.fullName())
        if node.Class() == "Input":  # of a group that the node is in: what is connected to that
            parent = nuke.toNode(node.fullName().rpartition(".")[0])
            waiting.append(parent.input(int(node["number"].value())) if parent is not None else None)
        idle = _OF_THE_EYE | _OF_A_JOB if is_ours(node) else _OF_THE_EYE
        knobs = sorted((name, knob.toScript()) for name, knob in node.knobs().items() if name not in idle)
        lines.append(f"{node.Class()} {knobs} {[_name(node.input(i)) for i in range(node.inputs())]} {_on_disk(node)}")
        waiting += node.dependencies(nuke.INPUTS | nuke.HIDDEN_INPUTS | nuke.EXPRESSIONS)
        waiting += node.nodes() if isinstance(node, nuke.Group) else []
    return "\n".join(sorted(lines))


def _name(node: Optional[nuke.Node]) -> str:
    return "" if node is None else node.fullName()


def _on_disk(node: nuke.Node) -> List[Tuple[int, int]]:
    """When the first and the last file of a Read were written, and how large they are."""
    file = node.knob("file")
    if file is None or node.Class() == "Write":
        return []
    paths = {cast("nuke.File_Knob", file).evaluate(frame) for frame in (node.firstFrame(), node.lastFrame())}
    found = []
    for path in sorted(str(path) for path in paths if path):
        with contextlib.suppress(OSError):
            entry = os.stat(path)
            found.append((entry.st_mtime_ns, entry.st_size))
    return found


def render(group: nuke.Group, write: str, frame: int, view: str) -> None:
    """Renders one frame by a Write inside a group. Raises HostError with Nuke's reason."""
    try:
        nuke.execute(inside(group, write), frame, frame, 1, [view])
    except RuntimeError as error:
        raise HostError(
            f"Nuke could not render frame {frame} of an input ({error}); look at the nodes above {group.name()}, and "
            "whether the disk of the output has room"
        ) from error


def largest(group: nuke.Group, name: str, frame: int) -> float:
    """The largest value that the CurveTool `name` inside a group finds in a frame."""
    tool = inside(group, name)
    source, region = tool.input(0), cast("nuke.BBox_Knob", tool["ROI"])
    if source is not None:
        for setter, edge in (
            (region.setX, 0),
            (region.setY, 0),
            (region.setR, source.width()),
            (region.setT, source.height()),
        ):
            setter(edge)
    try:
        nuke.execute(tool, frame, frame)
    except RuntimeError as error:
        raise HostError(f"Nuke could not compare frame {frame} ({error}); press Reload, then try again") from error
    return max(float(tool["maxlumapixvalue"].getValueAt(frame, channel)) for channel in range(3))


def ask_for(group: nuke.Group, name: str) -> None:
    """Presses the reload button of a Read inside a group."""
    cast("nuke.Script_Knob", inside(group, name)["reload"]).execute()


def metadata(node: nuke.Node, key: str) -> str:
    """What the picture of a node says under `key`; empty where it says nothing."""
    return str(node.metadata(key) or "")


def this() -> Tuple[nuke.Group, str]:
    """The node that a callback is about, and the name of its knob."""
    knob = nuke.thisKnob()
    return cast("nuke.Group", nuke.thisNode()), "" if knob is None else knob.name()
