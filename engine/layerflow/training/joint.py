"""Joint training, how the bundled model is made: clips drawn anew, every kind of batch, the text encoder too.

Shapes: B batch, G layer, F frame, H W pixel rows and columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from layerflow.layout import ALL_LAYERS, ALL_PROMPTS, Layout
from layerflow.text import layer_prompts
from layerflow.training.batches import Batch, Chances, Portion, draw, numbers
from layerflow.training.recipe import Model, Recipe

Prompts = tuple[str, ...]  # in the order of layout.ALL_PROMPTS


class LayeredData(Protocol):
    """Where layered clips come from."""

    @property
    def step(self) -> int:
        """How often it was advanced."""
        ...

    def advance(self) -> object:
        """Makes ready for the next batch."""
        ...

    def batch(
        self, rng: np.random.Generator, size: int, layers: Sequence[str], *, framed: bool = False
    ) -> tuple[np.ndarray | Tensor, list[Prompts]]:
        """Clips `[B, G, F, H, W, 3]` in [-1, 1] of these layers, and their captions.

        `framed`: a model makes up the foreground, so show it as somebody would frame it.
        """
        ...


@dataclass(kw_only=True)
class JointFeed:
    """Batches of all the recipe's kinds, drawn from `data` as it is after so many steps."""

    model: Model
    recipe: Recipe
    data: LayeredData
    device: torch.device
    portion: Portion
    seed: int = 0

    def __post_init__(self) -> None:
        self.model.codec.to(self.device)
        self.cases = self.recipe.cases

    def batch(self, step: int, micro: int) -> Batch:
        """All processes train on one kind at a time. Raises ValueError for data that is further on than `step`."""
        if self.data.step > step + 1:
            raise ValueError(f"the data is {self.data.step} steps on and the training {step}")
        while self.data.step <= step:
            self.data.advance()
        layout = self.cases.draw(numbers(self.seed, step, micro))
        size, rng = self.recipe.batch_of(layout), numbers(self.seed, step, micro, self.portion.rank)
        made_up = not any(map(layout.is_given, ("blended", "foreground")))
        clips, captions = self.data.batch(rng, size, layout.layers, framed=made_up)
        return self._batch(step, self.portion.samples(micro, size), clips, captions, layout)

    @torch.no_grad()
    def _batch(
        self, step: int, samples: Sequence[int], clips: np.ndarray | Tensor, captions: list[Prompts], layout: Layout
    ) -> Batch:
        pixels = torch.as_tensor(clips, device=self.device)
        clean = self.model.codec.to_latents(rearrange(pixels, "b g f h w c -> b (g f) c h w"))
        recipe, is_apart = self.recipe, layout.is_given("blended")
        chances = Chances(
            text_dropout=recipe.text_dropout, pure_noise=recipe.pure_noise_apart if is_apart else recipe.pure_noise
        )
        shape = (layout.num_predicted, *clean.shape[2:])
        drawn = draw(self.seed, step, samples, shape, len(layout.prompts), chances)
        return Batch(
            clean=clean,
            noise=drawn.noise.to(clean),
            timestep=drawn.timestep.to(self.device),
            kept=drawn.kept.to(self.device),
            tokens=self._tokens(captions, layout),
            layout=layout,
            slots=tuple(map(ALL_LAYERS.index, layout.layers)),
            weights=dict.fromkeys(("alpha", "alpha2"), recipe.alpha_weight) if is_apart else {},
            frames=self._frames(step, samples, layout) if recipe.head_frames else None,
        )

    def _frames(self, step: int, samples: Sequence[int], layout: Layout) -> Tensor:  # [B, N]
        rows = [
            numbers(self.seed, step, sample, 1).integers(layout.num_frames, size=self.recipe.head_frames)
            for sample in samples
        ]
        return torch.from_numpy(np.stack(rows)).to(self.device)

    def _tokens(self, captions: list[Prompts], layout: Layout) -> Tensor:  # -> [B, prompts, tokens]
        rows = [layer_prompts(layout, dict(zip(ALL_PROMPTS, caption, strict=False))) for caption in captions]
        tokens = self.model.text.ids([prompt for row in rows for prompt in row]).to(self.device)
        return torch.unflatten(tokens, 0, (len(captions), -1))
