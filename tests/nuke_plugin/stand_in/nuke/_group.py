"""Groups, which hold nodes, and the root, which holds the script."""

# ruff: noqa: N802, N815  (Nuke's own names)

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from nuke._node import Node
from nuke._state import Here, state


class Group(Node):
    """A node that holds others."""

    def __init__(self, class_name: str = "Group", parent: Group | None = None) -> None:
        """An empty group."""
        self._nodes: list[Node] = []
        super().__init__(class_name, parent)

    def begin(self) -> Group:
        """The group, in which everything that follows happens, until end()."""
        state.here.append(Here(self, state.now().node, state.now().knob))
        return self

    def end(self) -> None:
        """Back to where begin() was called."""
        if state.here:
            state.here.pop()

    def __enter__(self) -> Group:
        """As begin()."""
        return self.begin()

    def __exit__(self, *_: Any) -> None:
        """As end()."""
        if state.here:
            state.here.pop()

    def run(self, call: Callable[[], Any]) -> Any:
        """What `call` returns inside the group."""
        with state.at(self, state.now().node):
            return call()

    def nodes(self) -> list[Node]:
        """The nodes in it, the newest first."""
        return self._nodes[::-1]

    def numNodes(self) -> int:
        """How many nodes are in it."""
        return len(self._nodes)

    def node(self, name: str) -> Node | None:
        """The node of that name in it, or in a group in it; None where there is none."""
        first, _, rest = name.partition(".")
        found = next((node for node in self._nodes if node.name() == first), None)
        if not rest or found is None:
            return found
        return found.node(rest) if isinstance(found, Group) else None

    def output(self) -> Node | None:
        """Its Output node."""
        return next((node for node in self._nodes if node._class == "Output"), None)

    def selectedNodes(self) -> list[Node]:
        """The selected nodes in it, the last one first."""
        return [node for node in state.selection[::-1] if node._parent is self]

    def selectedNode(self) -> Node | None:
        """The node in it that was selected last."""
        found = self.selectedNodes()
        return found[0] if found else None

    def subgraphLocked(self) -> bool:
        """False: it can be changed."""
        return False

    def maxInputs(self) -> int:
        """How many inputs it has: one for each Input node in it."""
        return len(self._input_nodes())

    maximumInputs = maxInputs

    def minInputs(self) -> int:
        """How many inputs it shows."""
        return len(self._input_nodes())

    minimumInputs = minInputs

    def _input_nodes(self) -> list[Node]:
        """Its Input nodes in the order of its inputs: by number, and those of the same number as they were made."""
        found = [node for node in self._nodes if node._class == "Input"]
        return sorted(found, key=lambda node: int(node["number"].value()))

    def _inside_or_around(self) -> Group:
        return self

    def _free_name(self, name: str, node: Node) -> str:
        taken = {each.name() for each in self._nodes if each is not node}
        if name not in taken:
            return name
        stem = re.sub(r"\d+$", "", name)
        count = 1
        while f"{stem}{count}" in taken:
            count += 1
        return f"{stem}{count}"

    def _all_nodes(self) -> list[Node]:
        found = []
        for node in self._nodes[::-1]:
            found.append(node)
            found += node._all_nodes() if isinstance(node, Group) else []
        return found


class Root(Group):
    """The script."""

    def __init__(self) -> None:
        """An empty script that was never saved."""
        super().__init__("Root", None)

    def name(self) -> str:
        """The path of the script; Root where it was never saved."""
        return str(self._knobs["name"]._value) or "Root"

    def fullName(self) -> str:
        """root"""  # as expressions say it
        return "root"

    def setName(self, name: str, uncollide: bool = True, updateExpressions: bool = False) -> None:
        """Sets the path of the script."""
        self._knobs["name"].setValue(name)

    def frame(self) -> int:
        """The frame of the script. Not of the API: nuke.frame() is."""
        return int(self._knobs["frame"].value())

    def firstFrame(self) -> int:
        """First frame of the script."""
        return int(self._knobs["first_frame"].value())

    def lastFrame(self) -> int:
        """Last frame of the script."""
        return int(self._knobs["last_frame"].value())

    def fps(self) -> int:
        """Frames per second, rounded."""
        return round(self._knobs["fps"].value())

    def realFps(self) -> float:
        """Frames per second."""
        return float(self._knobs["fps"].value())

    def setFrame(self, frame: int) -> None:
        """Goes to a frame."""
        self._knobs["frame"].setValue(int(frame))

    def proxy(self) -> bool:
        """Whether proxies are shown."""
        return bool(self._knobs["proxy"].value())

    def setProxy(self, on: bool) -> None:
        """Shows proxies or not."""
        self._knobs["proxy"].setValue(bool(on))

    def modified(self) -> bool:
        """Whether it changed since it was saved."""
        return state.is_modified

    def setModified(self, modified: bool) -> None:
        """Says whether it changed."""
        state.is_modified = bool(modified)

    def addView(self, name: str, color: str = "#ffffff") -> None:
        """Adds a view."""
        knob = self._knobs["views"]
        knob.setValue(f"{knob.value()}\n{name} {color}".strip())

    def deleteView(self, name: str) -> None:
        """Takes a view away."""
        lines = [line for line in self._knobs["views"].value().splitlines() if line.split()[0] != name]
        self._knobs["views"].setValue("\n".join(lines))

    def view_names(self) -> list[str]:
        """The names of the views. Not of the API: nuke.views() is."""
        return [line.split()[0] for line in str(self._knobs["views"]._value).splitlines() if line.strip()]
