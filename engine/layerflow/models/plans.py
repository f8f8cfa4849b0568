"""Memory plans: what of a model is on the device, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PlanName = Literal["full", "balanced", "low"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Where the parts of a model are while a shot is made.

    "device": there all the time. "turns": there while it works, otherwise in the computer's own memory. "blocks": a few
    blocks at a time. On a CPU the two memories are one: "turns" is then "device", and "blocks" leaves the weights in
    their file.
    """

    name: PlanName
    transformer: Literal["device", "turns", "blocks"]
    codec: Literal["device", "turns"]
    text: Literal["keep", "drop", "stream"]  # kept on the device, freed after use, or layer by layer
    tile: int | None  # pixels, the side of a tile of a streamed video VAE; None: the whole clip at once, as released

    @property
    def decodes_aside(self) -> bool:
        """Whether a window is decoded while the next one is sampled: both networks are there."""
        return self.codec == "device"


FULL = Plan(name="full", transformer="device", codec="device", text="keep", tile=None)
BALANCED = Plan(name="balanced", transformer="turns", codec="turns", text="drop", tile=240)
LOW = Plan(name="low", transformer="blocks", codec="turns", text="stream", tile=128)
PLANS = (FULL, BALANCED, LOW)  # the most generous first


def plan_named(name: str) -> Plan:
    """The plan called `name`. Raises ValueError for another name."""
    return PLANS[[plan.name for plan in PLANS].index(name)]  # type: ignore[arg-type]


def plan_below(plan: Plan) -> Plan | None:
    """The next plan, which takes less memory; None below the last."""
    return next(iter(PLANS[PLANS.index(plan) + 1 :]), None)
