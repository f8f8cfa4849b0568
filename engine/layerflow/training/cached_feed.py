"""Batches out of caches: what the three stages of the paper are fed with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from layerflow.denoisers import given_mask
from layerflow.layout import Layout
from layerflow.mixing import Slots
from layerflow.training.batches import Batch, Chances, Portion, draw, numbers
from layerflow.training.latent_cache import LatentCache


@dataclass(frozen=True, kw_only=True)
class Part:
    """Clips of one kind among those of a stage, and how far the Motion LoRA is on for them."""

    name: str
    cache: LatentCache
    share: float = 1.0  # of the batches
    motion: float | None = None  # None where there is no Motion LoRA


@dataclass(frozen=True, kw_only=True)
class CachedFeed:
    """Batches of `parts`, each of one part and one layout, the same ones in all processes."""

    parts: Sequence[Part]
    layouts: Sequence[Layout]
    slots: Slots
    device: torch.device
    portion: Portion
    chances: Chances
    seed: int = 0

    def batch(self, step: int, micro: int) -> Batch:
        """Raises ModelError for a cache that is damaged."""
        choice = numbers(self.seed, step, micro)
        part = self.parts[int(choice.choice(len(self.parts), p=[part.share for part in self.parts]))]
        layout = self.layouts[int(choice.integers(len(self.layouts)))]
        samples = self.portion.samples(micro)
        places = [int(numbers(self.seed, step, sample, 1).integers(len(part.cache))) for sample in samples]
        return self.of_rows(part, layout, places, step=step, samples=samples)

    def of_rows(self, part: Part, layout: Layout, places: Sequence[int], *, step: int, samples: Sequence[int]) -> Batch:
        """The batch of these clips of `part`, with the draws of these samples of a step."""
        rows = [part.cache.row(place, layout.prompts) for place in places]
        clean, text = (torch.stack(column).to(self.device) for column in zip(*rows, strict=True))
        shape = (int((~given_mask(layout)).sum()), *clean.shape[2:])
        drawn = draw(self.seed, step, samples, shape, len(layout.prompts), self.chances)

        def placed(value: Tensor) -> Tensor:
            return value.to(self.device, non_blocking=True)

        return Batch(
            clean=clean,
            noise=placed(drawn.noise),
            timestep=placed(drawn.timestep),
            kept=placed(drawn.kept),
            text=text,
            layout=layout,
            slots=self.slots,
            motion=part.motion,
        )
