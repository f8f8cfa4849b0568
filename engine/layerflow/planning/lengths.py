"""How long the shots of a show are: as the user says, drawn by a seed."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from layerflow.errors import RequestError

MAX_FRAMES = 100_000
_FORMS = "fixed:120, uniform:24,480, exponential:120 or lognormal:120,0.6"
_NUMBERS = {"fixed": 1, "uniform": 2, "exponential": 1, "lognormal": 2}


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """A distribution of frames: `fixed`, `uniform` (least, most), `exponential` (mean), `lognormal` (median, sigma)."""

    kind: str
    numbers: tuple[float, ...]

    def draw(self, generator: random.Random) -> int:
        """The frames of one shot: 1 to 100,000."""
        first, *more = self.numbers
        if self.kind == "uniform":
            frames = generator.uniform(first, *more)
        elif self.kind == "exponential":
            frames = generator.expovariate(1 / first)
        elif self.kind == "lognormal":
            frames = generator.lognormvariate(math.log(first), *more)
        else:
            frames = first
        return min(MAX_FRAMES, max(1, round(frames)))

    def __str__(self) -> str:
        return f"{self.kind}:{','.join(f'{each:g}' for each in self.numbers)}"


def parse_lengths(text: str) -> Lengths:
    """The distribution that `lognormal:120,0.6` is. Raises RequestError in one sentence."""
    kind, _, rest = text.partition(":")
    try:
        numbers = tuple(float(each) for each in rest.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != _NUMBERS.get(kind):
        raise RequestError(f"{text!r} says no lengths of shots; write {_FORMS}")
    frames = numbers[:1] if kind == "lognormal" else numbers
    if not all(1 <= each <= MAX_FRAMES for each in frames):
        raise RequestError(f"{text!r} has shots of no frames or of more than {MAX_FRAMES}; give 1 to {MAX_FRAMES}")
    if kind == "lognormal" and not 0 <= numbers[1] <= 5:
        raise RequestError(f"sigma of {text!r} is {numbers[1]:g}; give 0 to 5, where 0 is no spread")
    if kind == "uniform" and numbers[0] > numbers[1]:
        raise RequestError(f"{text!r} begins with the larger number; write the least first")
    return Lengths(kind=kind, numbers=numbers)
