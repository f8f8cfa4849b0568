"""The sizes an engine takes: a range for every dimension that the graph leaves open."""

from __future__ import annotations

import ast
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from layerflow.errors import RequestError

_OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv}


@dataclass(frozen=True, kw_only=True)
class Range:
    """Sizes from `minimum` to `maximum`, both allowed; the engine is tuned for `optimum`."""

    minimum: int
    optimum: int
    maximum: int

    def __post_init__(self) -> None:
        if not 1 <= self.minimum <= self.optimum <= self.maximum:
            raise ValueError(f"a range is MIN/OPT/MAX, rising from 1; got {self}")

    def __str__(self) -> str:
        return "/".join(map(str, self.sizes))

    @property
    def sizes(self) -> tuple[int, int, int]:
        """The three sizes in rising order."""
        return self.minimum, self.optimum, self.maximum


Profile = Mapping[str, Range]  # by the name of the dimension, as the graph has it
Shapes = dict[str, list[list[int]]]  # input -> its smallest, best and largest shape


def as_texts(profile: Profile) -> dict[str, str]:
    """The ranges as a report has them, `MIN/OPT/MAX` by name."""
    return {name: str(profile[name]) for name in sorted(profile)}


def check_sizes(texts: Mapping[str, str], sizes: Mapping[str, int]) -> None:
    """Raises RequestError for a size outside the ranges that a report has."""
    for name, range_ in parse_profile([f"{name}={text}" for name, text in texts.items()]).items():
        size = sizes[name]
        if not range_.minimum <= size <= range_.maximum:
            wider = Range(minimum=min(size, range_.minimum), optimum=size, maximum=max(size, range_.maximum))
            raise RequestError(
                f"the engine takes {name} from {range_.minimum} to {range_.maximum} and this shot has {size}; "
                f"build one with layerflow-export build MODEL --profile {name}={wider}"
            )


def parse_profile(texts: Sequence[str]) -> dict[str, Range]:
    """Ranges from `NAME=MIN/OPT/MAX`, or `NAME=SIZE` for one size. Raises RequestError."""
    return dict(_parse_range(text) for text in texts)


def _parse_range(text: str) -> tuple[str, Range]:
    name, _, sizes = text.partition("=")
    try:
        numbers = [int(size) for size in sizes.split("/")]
        low, best, high = numbers * 3 if len(numbers) == 1 else numbers
        return name, Range(minimum=low, optimum=best, maximum=high)
    except ValueError as error:
        raise RequestError(
            f"--profile {text!r} is not a name and a rising range; write e.g. --profile frames=4/16/16"
        ) from error


def shapes(inputs: Mapping[str, tuple[int | str, ...]], profile: Profile) -> Shapes:
    """Three shapes for every input. Raises RequestError for a dimension without a range or a range without one."""
    asked = {name for shape in inputs.values() for size in shape if isinstance(size, str) for name in _names(size)}
    if missing := sorted(asked - set(profile)):
        raise RequestError(f"no range is given for {', '.join(missing)}; add --profile {missing[0]}=MIN/OPT/MAX")
    if foreign := sorted(set(profile) - asked):
        raise RequestError(f"the graph has no dimension {foreign[0]!r}; it has {', '.join(sorted(asked)) or 'none'}")
    corners: list[dict[str, int]] = [{name: range_.sizes[i] for name, range_ in profile.items()} for i in range(3)]
    return {name: [[_size(size, corner) for size in shape] for corner in corners] for name, shape in inputs.items()}


def _names(expression: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(expression, mode="eval")) if isinstance(node, ast.Name)}


def _size(size: int | str, values: Mapping[str, int]) -> int:
    return size if isinstance(size, int) else _value(ast.parse(size, mode="eval").body, values)


def _value(node: ast.expr, values: Mapping[str, int]) -> int:
    """What a dimension such as `2*rows` comes to; PyTorch writes them as sums and products of names and numbers."""
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        result: int = _OPERATORS[type(node.op)](_value(node.left, values), _value(node.right, values))
        return result
    if isinstance(node, ast.Name):
        return values[node.id]
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    raise RequestError(f"the dimension {ast.unparse(node)!r} is not a size this can work out; export the graph anew")
