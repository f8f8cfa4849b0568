"""The training loop: time-boxed, resumable, one layout a batch.

Shapes: B batch, G layer, F frame, H W pixel rows and columns, f latent frame, C latent channel.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from layerflow.layout import ALL_LAYERS, ALL_PROMPTS, Layout
from layerflow.sampler import NoiseSchedule
from layerflow.text import layer_prompts
from layerflow.training.objective import head_loss, v_loss
from layerflow.training.recipe import Model, Recipe

BESIDE = ("pixel_head.", "layer_words.")  # what may be new beside blocks that have learned for long
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
        self, rng: np.random.Generator, size: int, layers: Sequence[str], *, framed: bool
    ) -> tuple[np.ndarray | Tensor, list[Prompts]]:
        """Clips `[B, G, F, H, W, 3]` in [-1, 1] of these layers, and their captions.

        `framed`: a model makes up the foreground, so show it as somebody would frame it.
        """
        ...


@dataclass(kw_only=True)
class Progress:
    """What the loop reports and what a resumed one starts from."""

    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)


@dataclass(kw_only=True)
class Trainer:
    """Trains `model` by `recipe` on `data`, keeping `folder/last.pt` so that it can be stopped at any time."""

    model: Model
    recipe: Recipe
    data: LayeredData
    folder: Path
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    seed: int = 0
    save_seconds: float = 120.0
    report: Callable[[Progress], None] = lambda progress: None

    def __post_init__(self) -> None:
        self.trained = self.model.trained().to(self.device)
        if self.recipe.head_frames:
            self.trained.requires_grad_(False)
            assert self.model.transformer.pixel_head is not None
            self.model.transformer.pixel_head.requires_grad_(True)
        self.model.codec.to(self.device)
        average = get_ema_multi_avg_fn(self.recipe.ema_decay)  # type: ignore[no-untyped-call]  # torch has no types here
        self.average = AveragedModel(self.trained, multi_avg_fn=average)
        self.optimizers = _optimizers(self.trained, self.recipe)
        self.schedule = NoiseSchedule()
        self.cases = self.recipe.cases
        self.progress = Progress()
        self.rng = np.random.default_rng(self.seed)
        self.noise = torch.Generator().manual_seed(self.seed)

    def run(self) -> Model:
        """The model with averaged weights, after `recipe.minutes` of training counted over all resumed runs."""
        saved = started = time.monotonic() - self.progress.seconds
        while self.progress.seconds < self.recipe.minutes * 60:
            self.progress.losses.append(self._step())
            self.progress.step += 1
            self.progress.seconds = time.monotonic() - started
            self.report(self.progress)
            if time.monotonic() - saved > self.save_seconds:
                self.save()
                saved = time.monotonic()
        self.save()
        self.trained.load_state_dict(self.average.module.state_dict())
        return self.model

    def _step(self) -> float:
        layout = self.cases.draw(self.rng)
        self.data.advance()
        size, framed = self.recipe.batch_of(layout), not any(map(layout.is_given, ("blended", "foreground")))
        clips, captions = self.data.batch(self.rng, size, layout.layers, framed=framed)
        filled = tuple(map(ALL_LAYERS.index, layout.layers))
        with torch.autocast(self.device.type, torch.bfloat16), self.model.transformer.filling(filled):
            loss = self._loss(clips, captions, layout)
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no types here
        nn.utils.clip_grad_norm_(self.trained.parameters(), 1.0)
        for optimizer, peak in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = peak * self._lr_scale()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.average.update_parameters(self.trained)
        return float(loss.detach())

    def _loss(self, clips: np.ndarray | Tensor, captions: list[Prompts], layout: Layout) -> Tensor:
        with torch.autocast(self.device.type, enabled=False), torch.no_grad():
            pixels = torch.as_tensor(clips, device=self.device)
            clean = self.model.codec.to_latents(rearrange(pixels, "b g f h w c -> b (g f) c h w"))
        batch = len(clean)
        noise = torch.randn(batch, layout.num_predicted, *clean.shape[2:], generator=self.noise)
        timestep = torch.randint(0, len(self.schedule.training_signal), (batch,), generator=self.noise)
        recipe = self.recipe
        pure_noise = recipe.pure_noise_apart if layout.is_given("blended") else recipe.pure_noise
        last = torch.rand(batch, generator=self.noise) < pure_noise
        timestep = torch.where(last, len(self.schedule.training_signal) - 1, timestep)
        text = self._text(captions, layout)
        shown = (self.model.transformer, clean, noise.to(clean), text, timestep.to(self.device), layout, self.schedule)
        weights = dict.fromkeys(("alpha", "alpha2"), recipe.alpha_weight) if layout.is_given("blended") else {}
        if not recipe.head_frames:
            return v_loss(*shown, weights=weights)
        frames = torch.randint(0, layout.num_frames, (batch, recipe.head_frames), generator=self.noise)
        return head_loss(*shown, frames, weights=weights)

    def _text(self, captions: list[Prompts], layout: Layout) -> Tensor:  # -> [B, prompts, tokens, width]
        """Embeddings with gradients, each prompt dropped to zeros on its own."""
        rows = [layer_prompts(layout, dict(zip(ALL_PROMPTS, caption, strict=False))) for caption in captions]
        text = self.model.text
        tokens = text.ids([prompt for row in rows for prompt in row]).to(self.device)
        hidden = text.encoder(tokens, attention_mask=torch.ones_like(tokens)).last_hidden_state
        kept = torch.rand(len(tokens), generator=self.noise) >= self.recipe.text_dropout
        hidden = hidden * kept.to(hidden)[:, None, None]
        embeddings: Tensor = rearrange(hidden, "(b g) n d -> b g n d", b=len(captions))
        return embeddings

    def _lr_scale(self) -> float:
        """Linear warm-up by steps, then 1, and a linear fall at the end of the time box (Hu et al. 2024)."""
        left = max(0.02, 1.0 - self.progress.seconds / (self.recipe.minutes * 60))
        warm = min(1.0, (self.progress.step + 1) / self.recipe.warmup_steps)
        return warm * min(1.0, left / self.recipe.decay)

    def save(self) -> None:
        """Writes the checkpoint aside and renames it, so that there is always a whole one."""
        draws = {"data": self.data.step, "rng": self.rng.bit_generator.state}
        state = {
            "trained": self.trained.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer, _ in self.optimizers],
            "noise": self.noise.get_state(),
            "progress": json.dumps(asdict(self.progress) | draws),
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder / "last.pt.part"
        torch.save(state, part)
        part.replace(self.folder / "last.pt")

    def resume(self) -> None:
        """Takes up from the checkpoint in `folder`, with `data` as far on as it was; ValueError when it is not.

        Raises FileNotFoundError when there is none.
        """
        state: dict[str, Any] = torch.load(self.folder / "last.pt", weights_only=True, map_location=self.device)
        self.trained.load_state_dict(state["trained"])
        self.average.load_state_dict(state["average"])
        for (optimizer, _), saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.noise.set_state(state["noise"].cpu())
        record = json.loads(state["progress"])
        self.rng.bit_generator.state = record.pop("rng")
        if (step := record.pop("data")) != self.data.step:
            raise ValueError(f"the checkpoint's data is {step} steps on and the one given {self.data.step}")
        self.progress = Progress(**record)


def data_step(folder: Path) -> int:
    """How far on the data was at the checkpoint in `folder`. Raises FileNotFoundError when there is none."""
    state = torch.load(folder / "last.pt", weights_only=True, map_location="cpu", mmap=True)
    return int(json.loads(state["progress"])["data"])


def _optimizers(trained: nn.Module, recipe: Recipe) -> list[tuple[torch.optim.Optimizer, float]]:
    """Muon for the blocks' matrices, AdamW for everything else, each with its peak learning rate."""
    matrices = [p for name, p in trained.named_parameters() if _is_block_matrix(name, p)]
    rest = {name: p for name, p in trained.named_parameters() if p.requires_grad and not _is_block_matrix(name, p)}
    beside = [p for name, p in rest.items() if any(part in name for part in BESIDE)]
    others = [p for name, p in rest.items() if not any(part in name for part in BESIDE)]
    made = [_adam(own, peak) for own, peak in ((others, recipe.adam_lr), (beside, recipe.beside_lr)) if own]
    if matrices:
        made.insert(0, (torch.optim.Muon(matrices, lr=recipe.muon_lr, weight_decay=0.0), recipe.muon_lr))
    return made


def _adam(parameters: list[nn.Parameter], peak: float) -> tuple[torch.optim.Optimizer, float]:
    return torch.optim.AdamW(parameters, lr=peak, betas=(0.9, 0.98), weight_decay=0.0), peak


def _is_block_matrix(name: str, parameter: nn.Parameter) -> bool:
    in_block = "transformer_blocks" in name and "norm" not in name
    return in_block and parameter.ndim == 2 and parameter.requires_grad
