"""Machines by kind and number, and what an hour of them costs."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from layerflow.errors import RequestError
from layerflow.planning.figures import Rate
from layerflow.planning.rates import example_prices

MAX_GPUS = 100_000
_GROUP = re.compile(r"(?:(\d{1,9})\s*x\s*)?([A-Za-z][\w.-]*)")


@dataclass(frozen=True, kw_only=True)
class Price:
    """Of an hour of one GPU, in the currency of whoever says it."""

    per_hour: float
    kind: Literal["yours", "example"]


@dataclass(frozen=True, kw_only=True)
class Group:
    """So many GPUs of one kind."""

    count: int
    rate: Rate
    price: Price | None  # None: nobody said


def parse_fleet(text: str, rates: Mapping[str, Rate], prices: Mapping[str, Price]) -> tuple[Group, ...]:
    """The fleet that `40xL40S,8xH200` is, by names of `rates`. Raises RequestError in one sentence."""
    found: dict[str, int] = {}
    for part in text.split(","):
        match = _GROUP.fullmatch(part.strip())
        if match is None:
            raise RequestError(f"{part.strip()!r} is no number of GPUs; write them as 40xL40S,8xH200")
        name = _known(match[2], rates)
        found[name] = found.get(name, 0) + int(match[1] or 1)
        if not int(match[1] or 1):
            raise RequestError(f"{part.strip()!r} is no GPU at all; leave it out, or give 1 or more")
    if sum(found.values()) > MAX_GPUS:
        raise RequestError(f"{text!r} are {sum(found.values())} GPUs; up to {MAX_GPUS} can be planned for")
    return tuple(Group(count=count, rate=rates[name], price=prices.get(name)) for name, count in found.items())


def parse_prices(texts: Sequence[str], rates: Mapping[str, Rate]) -> dict[str, Price]:
    """Prices an hour: those given as `L40S=1.20`, and examples for the rest. Raises RequestError in one sentence."""
    prices = {name: Price(per_hour=each, kind="example") for name, each in example_prices()[0].items()}
    for text in texts:
        name, equals, number = text.partition("=")
        try:
            per_hour = float(number)
        except ValueError:
            per_hour = math.nan
        if not equals or not math.isfinite(per_hour) or per_hour < 0:
            raise RequestError(f"{text!r} is no price of an hour; write it as L40S=1.20")
        prices[_known(name.strip(), rates)] = Price(per_hour=per_hour, kind="yours")
    return prices


def _known(name: str, rates: Mapping[str, Rate]) -> str:
    by_lower = {each.lower(): each for each in rates}
    if found := by_lower.get(name.lower()):
        return found
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    known = by_lower[near[0]] if near else ", ".join(rates)
    raise RequestError(f"nothing is known of {name!r}; known are {known}, and others by --rates FILE.toml")
