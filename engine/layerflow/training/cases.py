"""What the batches of training are: which layers are there, which of those are given, and how often that comes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace

import numpy as np

from layerflow.layout import Layout, Task, further_layouts, task_layouts

GIVEN = 0.4  # how likely a layer is given where any may be
TWO = 0.4  # how often there are two foregrounds where any layers may be given


@dataclass(frozen=True, kw_only=True)
class Shares:
    """How often a batch is of which kind; together 1."""

    generate: float = 0.14
    element: float = 0.24  # a foreground and its alpha by themselves: the shortest way from words to what they mean
    decompose: float = 0.22
    background: float = 0.04
    foreground: float = 0.05
    guided: float = 0.15  # a plate and a rough matte
    matted: float = 0.03  # a plate and its alpha
    decompose_two: float = 0.07
    generate_two: float = 0.03
    any: float = 0.03  # whichever layers are given

    def __post_init__(self) -> None:
        shares = list(asdict(self).values())
        if min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
            raise ValueError(f"shares of kinds of batches must not be negative and come to 1, got {self}")


@dataclass(frozen=True, kw_only=True)
class Cases:
    """The kinds of batches of a model of clips of one length."""

    num_frames: int
    latent_frames: int
    shares: Shares = field(default_factory=Shares)

    def layouts(self) -> dict[Task, Layout]:
        """The model's own layouts."""
        return task_layouts(self.num_frames, self.latent_frames)

    def further(self) -> tuple[tuple[Task, Layout], ...]:
        """Its layouts with a guide and with two foregrounds."""
        return further_layouts(self.num_frames, self.latent_frames)

    def draw(self, rng: np.random.Generator) -> Layout:
        """The layout of one batch."""
        own, ((_, guided), (_, two), (_, generated)) = self.layouts(), self.further()
        kinds: dict[str, Layout] = {
            **{str(task): layout for task, layout in own.items()},
            "element": replace(own["generate"], layers=("foreground", "alpha"), prompts=("foreground",)),
            "guided": guided,
            "matted": own["decompose"].giving("alpha", "blended"),
            "decompose_two": two,
            "generate_two": generated,
        }
        shares = asdict(self.shares)
        kind = str(rng.choice(list(shares), p=list(shares.values())))
        return self._any(rng) if kind == "any" else kinds[kind]

    def _any(self, rng: np.random.Generator) -> Layout:
        whole = self.further()[2][1] if rng.random() < TWO else self.layouts()["generate"]
        while True:
            given = [name for name in whole.layers if rng.random() < GIVEN]
            if 0 < len(given) < len(whole.layers):
                return whole.giving(*given)
