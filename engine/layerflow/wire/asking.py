"""What every host does on the way from its panel to a request: seeds, prompts of several layers, the same once more."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any, Dict, Sequence

from layerflow.wire.request import Request

MAX_SEED = 2**31 - 1  # of a new one: what an integer of any host holds, and short enough to be read out

_SEVERAL = ("decompose", "generate")  # tasks of several foregrounds


def new_seed() -> int:
    """A seed that nobody chose."""
    return random.SystemRandom().randint(0, MAX_SEED)


def again(request: Request, seed: int, output: str) -> Request:
    """The same with another seed, to another output."""
    return replace(request, seed=seed, output=output)


def told_apart(task: str, prompts: Sequence[str], as_one: str) -> Dict[str, Any]:
    """The fields that say what the foregrounds show, front to back: each by itself where there are several of them.

    `as_one` is said of them where there is one, and by a task that knows of one alone.
    """
    if len(prompts) > 1 and task in _SEVERAL:
        return {"foreground": "", "foregrounds": tuple(prompts)}
    return {"foreground": as_one, "foregrounds": ()}
