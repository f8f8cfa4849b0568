"""Expressions of knobs: numbers, names of knobs, and the operators between them."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from nuke import _brackets

if TYPE_CHECKING:
    from nuke._node import Node

_TOKEN = re.compile(r"\s*(\d+\.?\d*|\.\d+|[A-Za-z_][\w.]*|&&|\|\||[=!<>]=|[-+*/()!<>?:,%])")
_NAME = re.compile(r"(?<![\w.])[A-Za-z_][\w.]*")
_BY_RANK: tuple[dict[str, Callable[[float, float], float]], ...] = (
    {"||": lambda a, b: float(bool(a) or bool(b))},
    {"&&": lambda a, b: float(bool(a) and bool(b))},
    {"==": operator.eq, "!=": operator.ne},
    {"<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge},
    {"+": operator.add, "-": operator.sub},
    {"*": operator.mul, "/": operator.truediv, "%": operator.mod},
)
_CONSTANTS = {"true": 1.0, "false": 0.0, "pi": 3.141592653589793}


def number(expression: str, node: Node, frame: float) -> float:
    """What an expression on a node gives at a frame. RuntimeError where it says something that is not known."""
    return _Parser(_brackets.worked_out(expression, node), node, frame).answer()


def nodes_named(expression: str, node: Node) -> list[Node]:
    """The nodes, other than `node`, whose knobs an expression names."""
    found = [_brackets.resolved(name, node)[0] for name in _NAME.findall(expression)]
    return [each for each in found if each is not None and each is not node]


class _Parser:
    def __init__(self, text: str, node: Node, frame: float) -> None:
        self._tokens, self._node, self._frame, self._text = _tokens(text), node, frame, text

    def answer(self) -> float:
        found = self._choice()
        if self._tokens:
            raise RuntimeError(f"syntax error in the expression {self._text!r}")
        return float(found)

    def _take(self, *wanted: str) -> str | None:
        if self._tokens and (not wanted or self._tokens[0] in wanted):
            return self._tokens.pop(0)
        return None

    def _choice(self) -> float:
        condition = self._ranked(0)
        if not self._take("?"):
            return condition
        yes = self._choice()
        self._take(":")
        no = self._choice()
        return yes if condition else no

    def _ranked(self, rank: int) -> float:
        if rank == len(_BY_RANK):
            return self._single()
        left = self._ranked(rank + 1)
        while (sign := self._take(*_BY_RANK[rank])) is not None:
            left = float(_BY_RANK[rank][sign](left, self._ranked(rank + 1)))
        return left

    def _single(self) -> float:
        token = self._take()
        if token is None:
            raise RuntimeError(f"the expression {self._text!r} ends too early")
        if token in "!-+":
            inner = self._single()
            return {"!": float(not inner), "-": -inner, "+": inner}[token]
        if token == "(":
            inner = self._choice()
            self._take(")")
            return inner
        return self._named(token) if token[0].isalpha() or token[0] == "_" else float(token)

    def _named(self, name: str) -> float:
        if name in ("frame", "t", "x") and self._node.knob(name) is None:
            return self._frame
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        node, rest = _brackets.resolved(name, self._node)
        if node is not None and rest and node.knob(rest[0]) is not None:
            return _channel(node, rest, self._frame)
        asked = name.rpartition(".")
        owner = self._node if not asked[1] else _brackets.resolved(asked[0], self._node)[0]
        if owner is not None and asked[2] in ("width", "height"):
            return float(getattr(owner, asked[2])())
        raise RuntimeError(f'Nothing is named "{name}"')


def _channel(node: Node, path: list[str], frame: float) -> float:
    knob = node[path[0]]
    held = knob.getValueAt(frame) if hasattr(knob, "getValueAt") else knob.value()
    if isinstance(held, list):
        names = "xyrt" if len(held) == 4 else "xyz"
        where = path[1] if len(path) > 1 else "0"
        return float(held[int(where) if where.isdigit() else names.index(where)])
    return float(held)


def _tokens(text: str) -> list[str]:
    found, at = [], 0
    text = text.rstrip()
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise RuntimeError(f"syntax error in the expression {text!r}")
        found.append(token[1])
        at = token.end()
    return found
