"""Finding nodes, and what is selected."""

# ruff: noqa: N802, N816  (Nuke's own names)

from __future__ import annotations

from typing import Any

from nuke._group import Group, Root
from nuke._guard import main_thread_only
from nuke._node import Node
from nuke._state import state


@main_thread_only
def root() -> Root:
    """The script."""
    return state.root


thisRoot = root


@main_thread_only
def toNode(name: str) -> Node | None:
    """The node of that name: root, or seen from the group that Python is in, or from the root behind root."""
    if not isinstance(name, str):
        raise TypeError(f"toNode() argument 1 must be str, not {type(name).__name__}")
    if name == "root":
        return state.root
    if name.startswith("root."):
        return state.root.node(name[5:])
    return state.now().group.node(name) if name else None


@main_thread_only
def exists(name: str) -> bool:
    """Whether there is a node, or a knob behind a dot, of that name."""
    from nuke import _brackets

    return _brackets.exists(name, state.now().node or state.now().group)


@main_thread_only
def allNodes(filter: str | None = None, group: Group | None = None, recurseGroups: bool = False) -> list[Node]:
    """The nodes of a group, all or those of a class, the newest first."""
    around = state.now().group if group is None else group
    found = around._all_nodes() if recurseGroups else around.nodes()
    return [node for node in found if filter is None or node._class == filter]


@main_thread_only
def selectedNodes(filter: str | None = None) -> list[Node]:
    """The selected nodes, the last one first."""
    return [node for node in state.now().group.selectedNodes() if filter is None or node._class == filter]


@main_thread_only
def selectedNode() -> Node:
    """The node that was selected last. ValueError where none is."""
    found = selectedNodes()
    if not found:
        raise ValueError("no node selected")
    return found[0]


@main_thread_only
def selectAll() -> None:
    """Nothing; all nodes are selected."""
    for node in state.now().group.nodes():
        node.setSelected(True)


@main_thread_only
def thisNode() -> Node:
    """The node that a callback or a button is about; the root outside of them."""
    return state.now().node or state.root


@main_thread_only
def thisKnob() -> Any:
    """The knob that a callback or a button is about; None outside of them."""
    return state.now().knob


@main_thread_only
def thisClass() -> str:
    """The class of thisNode()."""
    return thisNode().Class()


@main_thread_only
def thisGroup() -> Group:
    """The group that Python is in."""
    return state.now().group


@main_thread_only
def thisParent() -> Group | None:
    """The group that thisNode() is in."""
    return thisNode().parent()


@main_thread_only
def show(node: Node, forceFloat: bool = False) -> None:
    """Nothing; the node's panel is open."""
    node.showControlPanel()


@main_thread_only
def endGroup() -> None:
    """Nothing; what follows happens in the group around."""
    if state.here:
        state.here.pop()
