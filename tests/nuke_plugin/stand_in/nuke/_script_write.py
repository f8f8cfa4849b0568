"""Nodes as the text of a script, which builds them on a stack."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from nuke import _layers, _tcl
from nuke._group import Group
from nuke._state import state

PASTED = "$cut_paste_input"


def version_line() -> str:
    """The line that says which Nuke wrote a script."""
    return f"version {state.version[0]}.{state.version[1]} v1"


def script_text() -> str:
    """The whole script."""
    lines = [version_line(), "Root {", " inputs 0", *(f" {line}" for line in state.root._knob_lines()), "}"]
    lines += _layer_lines()
    lines += _Writer({}).lines(state.root._nodes, 0)
    return "\n".join(lines) + "\n"


def copied_text(nodes: list[Any]) -> str:
    """Some nodes, as they are on the clipboard. What is connected to others is connected to what is selected then."""
    lines = ["set cut_paste_input [stack 0]", version_line(), *_layer_lines()]
    outside = {node: PASTED for each in nodes for node in each._inputs[:1] if node is not None and node not in nodes}
    lines += _Writer(outside).lines(nodes, 0)
    return "\n".join(lines) + "\n"


def _layer_lines() -> list[str]:
    return [f"add_layer {_tcl.listed([name, *channels])}" for name, channels in _layers.own_layers().items()]


def _in_order(nodes: Iterable[Any]) -> list[Any]:
    """The nodes, each behind those that it is connected to."""
    found: dict[Any, None] = {}
    inside = set(nodes)

    def add(node: Any) -> None:
        if node in found or node not in inside:
            return
        for above in node._inputs:
            if above is not None:
                add(above)
        found[node] = None

    for node in nodes:
        add(node)
    return list(found)


class _Writer:
    def __init__(self, known: dict[Any, str]) -> None:
        self._known = dict(known)  # what a node is called once it was set
        self._numbers = itertools.count(0x1000)

    def lines(self, nodes: list[Any], depth: int) -> list[str]:
        """The lines of the nodes of one group."""
        ordered = _in_order(nodes)
        used = {above for node in ordered for above in node._inputs if above is not None}
        found: list[str] = []
        for node in ordered:
            found += self._pushes(node)
            found += self._node(node, depth)
            if node in used:
                self._known[node] = f"$N{next(self._numbers):x}"
                found.append(f"set {self._known[node][1:]} [stack 0]")
        return found

    def _pushes(self, node: Any) -> Iterator[str]:
        for above in reversed(_counted(node)[1]):
            yield f"push {self._known.get(above, 0)}"

    def _node(self, node: Any, depth: int) -> list[str]:
        indent = " " * depth
        count = _counted(node)[0]
        body = ([] if count == "1" else [f"inputs {count}"]) + node._knob_lines()
        lines = [f"{indent}{node._class} {{", *(f"{indent} {line}" for line in body), f"{indent}}}"]
        if isinstance(node, Group):
            lines += self.lines(node._nodes, depth + 1)
            lines.append(f"{indent}end_group")
        return lines


def _counted(node: Any) -> tuple[str, list[Any]]:
    """How many inputs a script says that a node has, and their nodes: a mask counts apart, and only if connected."""
    above = list(node._inputs)
    mask = node._spec.mask
    if mask is None or mask >= len(above):
        return str(len(above)), above
    if above[mask] is None:
        return str(len(above) - 1), above[:mask] + above[mask + 1 :]
    return f"{len(above) - 1}+1", above
