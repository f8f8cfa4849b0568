"""How much of an exact run is left out, by name. docs/quality.md has the reasons and docs/benchmarks.md the errors."""

from __future__ import annotations

from dataclasses import dataclass, replace

from layerflow.sampler import Sampler
from layerflow.step_cache import Reuse


@dataclass(frozen=True, kw_only=True)
class Quality:
    """What a run may leave out of every step that an exact one makes."""

    reuse: Reuse | None = None
    guided_from: int = 0  # training timestep below which the prompts' guidance is left out

    def sampler(self, own: Sampler) -> Sampler:
        """`own` with what this leaves out of guidance."""
        return replace(own, guidance=replace(own.guidance, guided_from=max(self.guided_from, own.guidance.guided_from)))


EXACT = Quality()
QUALITIES = {
    "exact": EXACT,
    "high": Quality(guided_from=200, reuse=Reuse(limit=0.25, alpha_limit=0.15)),
    "draft": Quality(guided_from=400, reuse=Reuse(limit=0.6, alpha_limit=0.4)),
}
