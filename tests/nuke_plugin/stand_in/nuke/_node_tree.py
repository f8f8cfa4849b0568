"""How nodes are connected."""

# ruff: noqa: N802  (Nuke's own names)

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nuke import _callbacks, _expression, _flags
from nuke._guard import Guarded
from nuke._state import state

if TYPE_CHECKING:
    from nuke._node import Node


class Tree(Guarded):
    """The inputs of a node, and what hangs on it."""

    _inputs: list[Any]
    _parent: Any
    _knobs: dict[str, Any]

    def input(self, index: int) -> Node | None:
        """The node that an input is connected to; None where it is to none."""
        return self._inputs[index] if 0 <= index < len(self._inputs) else None

    def inputs(self) -> int:
        """The number of the last connected input, counted from 1."""
        return len(self._inputs)

    def canSetInput(self, index: int, node: Node | None) -> bool:
        """Whether an input can be connected to a node: of the same group, and not one that hangs on this one."""
        if not 0 <= index < self.maxInputs():  # type: ignore[attr-defined]
            return False
        return node is None or (node._parent is self._parent and node.maxOutputs() > 0 and self not in _above(node))

    def setInput(self, index: int, node: Node | None) -> bool:
        """Whether the input is connected to the node now; None disconnects it."""
        if node is not None and not isinstance(node, Tree):
            raise TypeError(f"setInput() argument 2 must be Node or None, not {type(node).__name__}")
        if node is not None and node._is_gone:
            raise ValueError("A PythonObject is not attached to a node")
        if not self.canSetInput(index, node):
            return False
        before = list(self._inputs)
        self._inputs += [None] * (index + 1 - len(self._inputs))
        self._inputs[index] = node
        while self._inputs and self._inputs[-1] is None:
            self._inputs.pop()
        if before != self._inputs:
            self._input_changed()
        return True

    def _input_changed(self) -> None:
        from nuke._node import PseudoKnob

        state.is_modified = state.is_modified or not state.is_loading
        _callbacks.knob_changed(self, PseudoKnob("inputChange", self))  # type: ignore[arg-type]

    def connectInput(self, index: int, node: Node | None) -> bool:
        """Whether that input, or the next one that is free, is connected to the node now."""
        while self.input(index) is not None:
            index += 1
        return self.setInput(index, node)

    def dependencies(self, what: int = 15) -> list[Node]:
        """The nodes that this one looks at: through its inputs, its expressions, its links."""
        found = []
        is_hidden = bool(self._knobs["hide_input"].value())
        if what & (_flags.HIDDEN_INPUTS if is_hidden else _flags.INPUTS):
            found += [node for node in self._inputs if node is not None]
        if what & _flags.EXPRESSIONS:
            found += [node for text in self._texts() for node in _expression.nodes_named(text, self)]  # type: ignore[arg-type]
        return [node for node in dict.fromkeys(found) if node is not state.the_root]

    def _texts(self) -> list[str]:
        expressions = [text for knob in self._knobs.values() for text in knob._expressions.values()]
        return expressions

    def dependent(self, what: int = 15, forceEvaluate: bool = True) -> list[Node]:
        """The nodes that look at this one."""
        return [node for node in state.root._all_nodes() if self in node.dependencies(what)]


def _above(node: Any) -> set[Any]:
    """A node and everything that it hangs on."""
    seen, waiting = set(), [node]
    while waiting:
        each = waiting.pop()
        if each is not None and each not in seen:
            seen.add(each)
            waiting += each._inputs
    return seen
