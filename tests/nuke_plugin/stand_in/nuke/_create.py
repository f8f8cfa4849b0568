"""Making, finding, selecting and deleting nodes."""

# ruff: noqa: N802  (Nuke's own names)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nuke import _callbacks
from nuke._classes import CLASSES, WRITE_EXR
from nuke._group import Group
from nuke._guard import main_thread_only
from nuke._node import Node
from nuke._state import state


def new_node(class_name: str, group: Group) -> Node:
    """A node of a class in a group, with the first name that is free."""
    if class_name not in CLASSES or class_name == "Root":
        raise RuntimeError(f"{class_name}: Unknown command")
    node = _SPECIAL.get(class_name, Node)(class_name, group)
    group._nodes.append(node)
    stem = CLASSES[class_name].name or class_name
    node._knobs["name"]._value = group._free_name(f"{stem}1", node)
    state.is_modified = True
    return node


class Write(Node):
    """A Write, which has more knobs while its files are EXR."""

    def _knob_was_set(self, knob: Any) -> None:
        super()._knob_was_set(knob)
        if knob._name == "file" and str(knob._value).lower().endswith(".exr") and not state.is_loading:
            if self._knobs["file_type"].value() != "exr":
                self._knobs["file_type"].setValue("exr")
        elif knob._name == "file_type":
            self._fit_to_type()

    def _fit_to_type(self) -> None:
        made = {knob._name: knob for knob in (make() for make in WRITE_EXR)}
        if self._knobs["file_type"].value() == "exr":
            for name, knob in made.items():
                if name not in self._knobs:
                    knob._node = self
                    self._put_behind("file_type", name, knob)
        else:
            for name in made:
                self._knobs.pop(name, None)

    def _put_behind(self, before: str, name: str, knob: Any) -> None:
        entries = list(self._knobs.items())
        place = [each for each, _ in entries].index(before) + 1 + sum(n in _EXR_NAMES for n, _ in entries)
        entries.insert(place, (name, knob))
        self._knobs = dict(entries)


_EXR_NAMES = {make()._name for make in WRITE_EXR}


class Shuffle2(Node):
    """A Shuffle, whose mappings follow its layers."""

    def _knob_was_set(self, knob: Any) -> None:
        super()._knob_was_set(knob)
        if knob._name in ("in1", "out1") and not state.is_loading:
            self._map_layers()

    def _map_layers(self) -> None:
        sources = self._knobs["in1"].channels()
        targets = self._knobs["out1"].channels()
        pairs = [(0, source, target) for source, target in zip(sources, targets, strict=False)]
        self._knobs["mappings"]._value = pairs


class BackdropNode(Node):
    """A coloured rectangle behind nodes."""

    def getNodes(self) -> list[Node]:
        """The nodes in it."""
        right, bottom = self.xpos() + self.screenWidth(), self.ypos() + self.screenHeight()
        around = self._parent
        inside = [] if around is None else around._nodes
        return [
            node
            for node in inside
            if node is not self
            and self.xpos() <= node.xpos() <= right - node.screenWidth()
            and self.ypos() <= node.ypos() <= bottom - node.screenHeight()
        ]


class Viewer(Node):
    """A Viewer."""


_SPECIAL: dict[str, Callable[..., Node]] = {
    "Group": Group,
    "Write": Write,
    "Shuffle2": Shuffle2,
    "BackdropNode": BackdropNode,
    "Viewer": Viewer,
}


def _numbered(node: Node) -> None:
    """Gives a new Input the next number of its group."""
    if node._class == "Input" and node._parent is not None:
        node._knobs["number"]._value = [len(node._parent._input_nodes()) - 1]


@main_thread_only
def createNode(node: str, knobs: str = "", inpanel: bool = True) -> Node:
    """A new node, connected to what is selected, between it and what hung on it, and alone selected then."""
    if not isinstance(node, str):
        raise TypeError(f"createNode() argument 1 must be str, not {type(node).__name__}")
    group = state.now().group
    above = group.selectedNodes()
    made = new_node(node, group)
    _numbered(made)
    made.readKnobs(knobs)
    _placed(made, above)
    made.selectOnly()
    _callbacks.fire("onUserCreate", made)
    _callbacks.fire("onCreate", made)
    if inpanel:
        made.showControlPanel()
    return made


def _placed(node: Node, above: list[Node]) -> None:
    """Connects a new node below those that are selected, and puts it there."""
    if not above:
        return
    nearest = above[0]
    below = [(each, i) for each in nearest._parent._nodes for i, n in enumerate(each._inputs) if n is nearest]
    for index, other in enumerate(reversed(above)):
        node.setInput(index, other)
    if node.input(0) is not None and node.maxOutputs():
        for each, index in below:
            if each is not node and each._class != "Viewer":
                each.setInput(index, node)
    node.setXYpos(nearest.xpos(), nearest.ypos() + nearest.screenHeight() + 6)


class Nodes:
    """nuke.nodes: a function for every class of nodes."""

    def __getattr__(self, class_name: str) -> Callable[..., Node]:
        """The function that makes a node of that class, which is connected only where `inputs` says so."""
        if class_name.startswith("__"):
            raise AttributeError(class_name)

        @main_thread_only
        def make(**knobs: Any) -> Node:
            made = new_node(class_name, state.now().group)
            _numbered(made)
            for index, above in enumerate(knobs.pop("inputs", ())):
                made.setInput(index, above)
            for name, value in knobs.items():
                made.setName(value) if name == "name" else _set(made, name, value)
            _callbacks.fire("onCreate", made)
            return made

        return make


def _set(node: Node, name: str, value: Any) -> None:
    is_word = hasattr(node[name], "setText") or hasattr(node[name], "enumName")
    if isinstance(value, str) and not is_word:
        node[name].fromScript(value)
    else:
        node[name].setValue(value)


nodes = Nodes()


@main_thread_only
def delete(node: Node) -> None:
    """Nothing; the node is gone, and what was connected to it is connected to its first input."""
    if not isinstance(node, Node):
        raise TypeError(f"delete() argument 1 must be Node, not {type(node).__name__}")
    if node is state.root:
        raise ValueError("the root cannot be deleted")
    for inner in node.nodes() if isinstance(node, Group) else []:
        delete(inner)
    _callbacks.fire("onDestroy", node)
    group = node._parent or state.root
    for below in group._nodes:
        for index, above in enumerate(list(below._inputs)):
            if above is node:
                below.setInput(index, node.input(0))
    state.selection = [each for each in state.selection if each is not node]
    group._nodes.remove(node)
    let_go(node)


def let_go(node: Node) -> None:
    """Makes every later use of a node, or of a knob of it, a ValueError."""
    for knob in node._knobs.values():
        knob._is_gone = True  # type: ignore[attr-defined]
    node._is_gone = True
