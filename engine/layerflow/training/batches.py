"""What a training step is made of, and the one module that batches go through.

Everything random in a batch follows from (seed, step, sample): a resumed run has the batches of an undisturbed one
without replaying any, and the samples of a step are the same on however many processes they are spread.

Shapes: B batch, F latent frame of the whole sequence, P predicted one, C channel, H W latent rows and columns,
G prompt, N token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from layerflow.layout import Layout
from layerflow.mixing import Slots
from layerflow.sampler import NUM_TRAIN_STEPS, NoiseSchedule
from layerflow.training.lora import MOTION, set_scale
from layerflow.training.objective import head_loss, v_loss
from layerflow.transformer import LayerFlowTransformer


@dataclass(frozen=True, kw_only=True)
class Portion:
    """Which samples of every step are this process's own."""

    batch: int
    rank: int = 0
    num_processes: int = 1

    def samples(self, micro: int, size: int | None = None) -> range:
        """Numbers, within the step, of the samples of its batch `micro`, which is of `size` if not of `batch`."""
        size = size or self.batch
        first = (micro * self.num_processes + self.rank) * size
        return range(first, first + size)


@dataclass(frozen=True, kw_only=True)
class Draws:
    """What is drawn at random for the samples of a batch, on the CPU."""

    noise: Tensor  # [B, P, C, H, W]
    timestep: Tensor  # [B] int, in [0, 999]
    kept: Tensor  # [B, G] bool, prompts that are not dropped


@dataclass(frozen=True, kw_only=True)
class Chances:
    """How often something happens to a sample."""

    text_dropout: float = 0.0  # to each prompt by itself
    pure_noise: float = 0.0  # that it is at the last timestep, where sampling starts


def numbers(*key: int) -> np.random.Generator:
    """Random numbers that follow from `key`."""
    return np.random.default_rng(key)


def draw(
    seed: int, step: int, samples: Sequence[int], shape: tuple[int, ...], num_prompts: int, chances: Chances
) -> Draws:
    """The draws for these samples of a step; noise is of `shape` [P, C, H, W] each."""
    rows = [_draw_one(seed, step, sample, shape, num_prompts, chances) for sample in samples]
    noise, timestep, kept = (torch.stack(column) for column in zip(*rows, strict=True))
    return Draws(noise=noise, timestep=timestep, kept=kept)


def _draw_one(
    seed: int, step: int, sample: int, shape: tuple[int, ...], num_prompts: int, chances: Chances
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(int(numbers(seed, step, sample).integers(2**63)))
    noise = torch.randn(shape, generator=generator)
    timestep = torch.randint(NUM_TRAIN_STEPS, (), generator=generator)
    last, *kept = torch.rand(1 + num_prompts, generator=generator)
    if last < chances.pure_noise:
        timestep = torch.tensor(NUM_TRAIN_STEPS - 1)
    return noise, timestep, torch.stack(kept) >= chances.text_dropout


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Samples of one layout, on the device that trains. Of `text` and `tokens` there is one."""

    clean: Tensor  # [B, F, C, H, W]
    noise: Tensor  # [B, P, C, H, W]
    timestep: Tensor  # [B]
    kept: Tensor  # [B, G]
    layout: Layout
    slots: Slots  # which of the network's layers the sequence holds
    text: Tensor | None = None  # [B, G, N, width]
    tokens: Tensor | None = None  # [B, G, N] for a text encoder that is trained
    weights: Mapping[str, float] = field(default_factory=dict)  # of layers in the loss
    motion: float | None = None  # scale of the Motion LoRA
    frames: Tensor | None = None  # [B, N] int, of each clip, where the head in pixels alone is trained


@dataclass(frozen=True, kw_only=True)
class Question:
    """What `LayerFlowTransformer.forward` is asked, for samples while training: it has to go the way of a batch."""

    latents: Tensor
    timestep: Tensor
    text: Tensor
    layer_index: Tensor
    given: Tensor | None
    slots: Slots


class Feed(Protocol):
    """Where batches come from."""

    def batch(self, step: int, micro: int) -> Batch:
        """This process's batch number `micro` of a step."""
        ...


class Objective(nn.Module):
    """The networks that are trained, and the loss of a batch: forward goes through whatever wraps this for devices."""

    def __init__(self, transformer: LayerFlowTransformer, text_encoder: Any = None) -> None:
        """The text encoder only where it is trained as well."""
        super().__init__()
        self.transformer = transformer
        if text_encoder is not None:
            self.text_encoder = text_encoder
        self.schedule = NoiseSchedule()

    def forward(self, batch: Batch | Question) -> Tensor:
        """Mean squared error of v, a scalar, where a dropped prompt is zeros; of a question the predicted v."""
        if isinstance(batch, Question):
            with self.transformer.filling(batch.slots):
                answer: Tensor = self.transformer(
                    batch.latents, batch.timestep, batch.text, batch.layer_index, batch.given
                )
            return answer
        text = batch.text if batch.tokens is None else self._encoded(batch.tokens)
        assert text is not None, "a batch has embeddings or tokens"
        if batch.motion is not None:
            set_scale(self.transformer, MOTION, batch.motion)
        text = text * batch.kept.to(text)[..., None, None]
        shown = (self.transformer, batch.clean, batch.noise, text, batch.timestep, batch.layout, self.schedule)
        with self.transformer.filling(batch.slots):
            if batch.frames is not None:
                return head_loss(*shown, batch.frames, weights=batch.weights)
            return v_loss(*shown, weights=batch.weights)

    def _encoded(self, tokens_BGN: Tensor) -> Tensor:  # -> [B, G, N, width]
        rows = tokens_BGN.flatten(0, 1)
        hidden: Tensor = self.text_encoder(rows, attention_mask=torch.ones_like(rows)).last_hidden_state
        return torch.unflatten(hidden, 0, tokens_BGN.shape[:2])
