"""Reads the text of a script: commands that build nodes on a stack."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from nuke import _callbacks, _layers, _tcl
from nuke._classes import CLASSES
from nuke._group import Group
from nuke._state import state

_INPUTS = re.compile(r"(?:^|\n)\s*inputs\s+(\d+)(?:\+(\d+))?")


@contextlib.contextmanager
def _loading() -> Iterator[None]:
    before, state.is_loading = state.is_loading, True
    try:
        yield
    finally:
        state.is_loading = before


def read(text: str, group: Group, pasted: Any = None) -> list[Any]:
    """The nodes that a script makes in a group. `pasted` is on the stack at first."""
    reader = _Reader(text, group, pasted)
    with _loading():
        reader.run()
    for node in reader.created:
        _callbacks.fire("onCreate", node)
    return reader.outermost


class _Reader:
    def __init__(self, text: str, group: Group, pasted: Any) -> None:
        self._words = _tcl.Words(text)
        self._groups = [group]
        self._stacks: list[list[Any]] = [[pasted]]
        self._names: dict[str, Any] = {}
        self.created: list[Any] = []
        self.outermost: list[Any] = []

    def run(self) -> None:
        while (word := self._words.next()) is not None:
            self._command(word)

    def _command(self, word: str) -> None:
        if word.startswith("#") or word in ("version", "define_window_layout_xml"):
            self._skip(word)
        elif word == "push":
            self._stacks[-1].append(self._named(self._words.next() or "0"))
        elif word == "set":
            self._set()
        elif word == "add_layer":
            name, *channels = _tcl.words(self._words.next() or "")
            _layers.add(name, tuple(each for each in channels if each != "none"))
        elif word == "end_group":
            self._groups.pop()
            self._stacks.pop()
        elif word == "Root":
            state.root.readKnobs(self._words.next() or "")
        else:
            self._node(word, self._words.next() or "")

    def _skip(self, word: str) -> None:
        if word == "define_window_layout_xml":
            self._words.next()
        else:
            self._words.rest_of_line()

    def _named(self, word: str) -> Any:
        if word == "0":
            return None
        if word[1:] not in self._names:
            raise RuntimeError(f'can\'t read "{word[1:]}": no such variable')
        return self._names[word[1:]]

    def _set(self) -> None:
        name = self._words.next() or ""
        found = re.fullmatch(r"\[stack (\d+)\]", self._words.rest_of_line())
        if found is None:
            raise RuntimeError(f"set {name}: the stand-in knows [stack N] only")
        stack = self._stacks[-1]
        place = len(stack) - 1 - int(found[1])
        self._names[name] = stack[place] if place >= 0 else None

    def _node(self, class_name: str, body: str) -> None:
        from nuke._create import new_node

        if class_name not in CLASSES:
            raise RuntimeError(f"{class_name}: Unknown command")
        group = self._groups[-1]
        node = new_node(class_name, group)
        above = self._popped(node, body)
        node.readKnobs(body)
        for index, other in enumerate(above):
            if other is not None:
                node._inputs += [None] * (index + 1 - len(node._inputs))
                node._inputs[index] = other
        self._stacks[-1].append(node)
        self.created.append(node)
        if len(self._groups) == 1:
            self.outermost.append(node)
        if isinstance(node, Group):
            self._groups.append(node)
            self._stacks.append([])

    def _popped(self, node: Any, body: str) -> list[Any]:
        """The nodes that are the inputs, the first one first."""
        found = _INPUTS.search(body)
        main, masks = (int(found[1]), int(found[2] or 0)) if found else (min(1, node._spec.max_inputs), 0)
        stack = self._stacks[-1]
        above = [stack.pop() if stack else None for _ in range(main + masks)]
        mask = node._spec.mask
        if mask is not None and not masks and len(above) > mask:
            above.insert(mask, None)
        return above
