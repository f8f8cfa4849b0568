"""Tcl in square brackets in a text, as far as file names and labels use it, and the names that it can say."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nuke import _paths
from nuke._state import state

if TYPE_CHECKING:
    from nuke._knob import Knob
    from nuke._node import Node

_ENVIRONMENT = re.compile(r"\$env\((\w+)\)")


def worked_out(text: str, node: Node | None) -> str:
    """The text with every [command] replaced by what it gives. RuntimeError for one that is not known."""
    text = _ENVIRONMENT.sub(lambda found: os.environ.get(found[1], ""), text)
    found, at = [], 0
    while at < len(text):
        if text[at] == "\\" and at + 1 < len(text) and text[at + 1] in "[]$":
            found.append(text[at + 1])
            at += 2
        elif text[at] == "[":
            end = _end_of(text, at)
            found.append(_run(text[at + 1 : end], node))
            at = end + 1
        else:
            found.append(text[at])
            at += 1
    return "".join(found)


def _end_of(text: str, start: int) -> int:
    """Where the bracket that opens at `start` closes. What is in braces does not count."""
    depth = braces = 0
    for at in range(start, len(text)):
        braces += {"{": 1, "}": -1}.get(text[at], 0)
        depth += 0 if braces else {"[": 1, "]": -1}.get(text[at], 0)
        if depth == 0 and not braces:
            return at
    raise RuntimeError(f"missing close-bracket in {text!r}")


def _run(command: str, node: Node | None) -> str:
    name, *arguments = _arguments(command, node)
    if name not in _COMMANDS:
        raise RuntimeError(f'invalid command name "{name}"')
    return _COMMANDS[name](arguments, node)


def _arguments(command: str, node: Node | None) -> list[str]:
    """The words of a command, those in braces as they are, the others worked out."""
    found, at = [], 0
    for word in re.finditer(r"\{(?:[^{}]|\{[^{}]*\})*\}|\S+", command):
        if word.start() < at:
            continue  # inside a bracket that was taken whole
        text, at = word[0], word.end()
        if text.startswith("{"):
            found.append(text[1:-1])
            continue
        while text.count("[") > text.count("]") and at < len(command):
            at = command.find("]", at) + 1 or len(command)
            text = command[word.start() : at]
        found.append(worked_out(text.strip('"'), node))
    return found


def _value(arguments: list[str], node: Node | None) -> str:
    knob = None if node is None else knob_named(arguments[0], node)
    if knob is None:
        if len(arguments) > 1:
            return arguments[1]
        raise RuntimeError(f'Nothing is named "{arguments[0]}"')
    held = knob.evaluate() if hasattr(knob, "evaluate") else knob.value()
    if isinstance(held, bool):
        return str(held).lower()
    if isinstance(held, (list, tuple)):
        return " ".join(f"{number:.10g}" for number in held)
    return f"{held:.10g}" if isinstance(held, float) else str("" if held is None else held)


def _file(arguments: list[str], node: Node | None) -> str:
    what, path = arguments[0], "/".join(arguments[1:])
    stem, suffix = posixpath.splitext(path)
    answers = {
        "dirname": posixpath.dirname(path) or ".",
        "tail": posixpath.basename(path),
        "rootname": stem,
        "extension": suffix,
        "join": path,
    }
    if what not in answers:
        raise RuntimeError(f'the stand-in has no "file {what}"')
    return answers[what]


def _python(arguments: list[str], node: Node | None) -> str:
    import nuke

    inner = state.root if node is None else node.parent() or state.root
    with state.at(inner, node):
        answer = eval(" ".join(word for word in arguments if word != "-exec"), {"nuke": nuke})
    return "" if answer is None else str(answer)


def _expr(arguments: list[str], node: Node | None) -> str:
    from nuke import _expression

    return f"{_expression.number(' '.join(arguments), node or state.root, _paths.current_frame()):.10g}"


_COMMANDS: dict[str, Callable[[list[str], Any], str]] = {
    "value": _value,
    "knob": _value,
    "file": _file,
    "python": _python,
    "expr": _expr,
    "frame": lambda arguments, node: str(_paths.current_frame()),
    "getenv": lambda arguments, node: os.environ.get(arguments[0], ""),
    "exists": lambda arguments, node: str(int(node is not None and exists(arguments[0], node))),
    "format": lambda arguments, node: arguments[0] % tuple(int(word) for word in arguments[1:]),
    "string": lambda arguments, node: getattr(arguments[1], {"toupper": "upper", "tolower": "lower"}[arguments[0]])(),
}


def _step(node: Node, name: str) -> Node | None:
    """The node that `name` is, seen from a node; None where it is none."""
    from nuke._group import Group

    if name in ("this", "parent", "root"):
        return {"this": node, "parent": node.parent() or state.root, "root": state.root}[name]
    if re.fullmatch(r"input\d*", name):
        return node.input(int(name[5:] or 0))
    inner = node.node(name) if isinstance(node, Group) else None
    around = node.parent()
    return inner or (around.node(name) if around is not None else None)


def resolved(path: str, node: Node) -> tuple[Node | None, list[str]]:
    """The node that a dotted path leads to, seen from `node`, and what is left of the path: a knob and its channel."""
    parts = path.split(".")
    here: Node | None = node
    while parts and here is not None and here.knob(parts[0]) is None:
        here = _step(here, parts.pop(0))
    return here, parts


def knob_named(path: str, node: Node) -> Knob | None:
    """The knob that a dotted path leads to, seen from `node`; None where there is none."""
    here, rest = resolved(path, node)
    return here.knob(rest[0]) if here is not None and rest else None


def exists(path: str, node: Node) -> bool:
    """Whether a dotted path leads to a node or a knob."""
    return resolved(path, node)[0] is not None
