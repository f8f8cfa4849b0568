"""What looks on while a training runs: curves for TensorBoard, losses on clips held out, contact sheets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from layerflow.codec import Codec, decode_layers
from layerflow.data.clip import LayeredClip
from layerflow.data.look import stack_of
from layerflow.denoisers import LayerDenoiser, given_mask, splice
from layerflow.layers import straight_from_grey
from layerflow.layout import Layout
from layerflow.preprocess import to_pixels, to_unit
from layerflow.preview import pick_frames, to_bytes, write_contact_sheet
from layerflow.sampler import Sampler, guided
from layerflow.training.batches import Question
from layerflow.training.cached_feed import CachedFeed, Part
from layerflow.training.lora import MOTION, set_scale
from layerflow.training.schedule import Progress
from layerflow.training.trainer import Step, Trainer
from layerflow.wire import Event

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Told:
    """Whom a training tells what, and who stops it."""

    report: Callable[[Progress], None] = lambda progress: None
    tell: Tell = lambda sentence: None
    warn: Tell = lambda sentence: None
    on_event: Callable[[Event], None] = lambda event: None
    stopped: Callable[[], bool] = lambda: False

    def by(self, accelerator: Accelerator) -> Told:
        """This for the main process; the others tell nothing."""
        return self if accelerator.is_main_process else Told(stopped=self.stopped)


SILENT = Told()


@dataclass(kw_only=True)
class Curves:
    """Numbers by step below `folder`, for TensorBoard; nothing where it is not installed, which `tell` says once."""

    folder: Path
    first_step: int = 0
    tell: Tell = lambda sentence: None
    writes: bool = True  # False in processes other than the main one
    _writer: Any = field(default=None, init=False)

    def __post_init__(self) -> None:
        if not self.writes:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ModuleNotFoundError:
            self.tell("there will be no curves: TensorBoard is not installed; pip install 'layerflow[train]'")
            return
        self._writer = SummaryWriter(str(self.folder), purge_step=self.first_step)

    def __call__(self, trainer: Trainer, step: Step) -> None:
        """Writes down what the step came to."""
        self.write(
            trainer.progress.step,
            {
                "train/loss": step.loss,
                "train/lr": step.lr,
                "train/grad_norm": step.grad_norm,
                "train/samples_per_s": step.samples / step.seconds,
            },
        )

    def write(self, step: int, values: dict[str, float]) -> None:
        """Writes these values at a step."""
        for name, value in values.items():
            if self._writer is not None:
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Nothing is written afterwards."""
        if self._writer is not None:
            self._writer.close()


@dataclass(frozen=True, kw_only=True)
class Checks:
    """Losses on clips that are held out: the same clips, noise and timesteps every time, of the averaged weights."""

    feed: CachedFeed
    every: int  # steps
    num_clips: int
    curves: Curves | None = None
    tell: Tell = lambda sentence: None

    def __call__(self, trainer: Trainer, step: Step) -> None:
        """Measures when it is time."""
        if not self.every or trainer.progress.step % self.every:
            return
        found = self.losses(trainer)
        if self.curves is not None:
            self.curves.write(trainer.progress.step, {f"held-out/{name}": loss for name, loss in found.items()})
        said = ", ".join(f"{name} {loss:.4f}" for name, loss in found.items())
        self.tell(f"step {trainer.progress.step}, held out: {said}")

    @torch.no_grad()
    def losses(self, trainer: Trainer) -> dict[str, float]:
        """The mean loss by part."""
        with trainer.average.shown():
            return {part.name: self._loss(trainer, part) for part in self.feed.parts}

    def _loss(self, trainer: Trainer, part: Part) -> float:
        feed, size = self.feed, self.feed.portion.batch
        losses = []
        for number, first in enumerate(range(0, min(self.num_clips, len(part.cache)), size)):
            places = range(first, min(first + size, len(part.cache)))
            layout = feed.layouts[number % len(feed.layouts)]
            batch = feed.of_rows(part, layout, places, step=0, samples=places)
            losses += [float(trainer.wrapped(batch))] * len(places)
        return sum(losses) / len(losses)


@dataclass(frozen=True, kw_only=True)
class SheetMaker:
    """Contact sheets of what the averaged weights make of a few clips held out, always from the same noise."""

    feed: CachedFeed
    codec: Codec
    sampler: Sampler
    folder: Path
    every: int  # steps; 0: never
    num_clips: int = 2
    motions: Sequence[float | None] = (None,)  # scales of the Motion LoRA, a sheet each

    def __call__(self, trainer: Trainer, step: Step) -> None:
        """Makes them when it is time. Raises OutputError."""
        if self.every and trainer.progress.step % self.every == 0:
            self.make(trainer)

    @torch.no_grad()
    def make(self, trainer: Trainer) -> list[Path]:
        """The sheets' files."""
        made = []
        with trainer.average.shown():
            for motion in self.motions:
                for clip in range(min(self.num_clips, len(self.feed.parts[0].cache))):
                    made.append(self._sheet(trainer, clip, motion))
        return made

    def _sheet(self, trainer: Trainer, clip: int, motion: float | None) -> Path:
        layout = self.feed.layouts[clip % len(self.feed.layouts)]
        scale = "" if motion is None else f".motion-{motion:g}"
        path = self.folder / f"step-{trainer.progress.step:08d}{scale}.clip-{clip + 1}.png"
        if motion is not None:
            set_scale(trainer.objective.transformer, MOTION, motion)
        layers = self._sampled(trainer, layout, clip)
        if trainer.is_main:
            self.folder.mkdir(parents=True, exist_ok=True)
            stack = stack_of(_clip(layers))
            write_contact_sheet(path, [stack], frames=pick_frames(stack.frames))
        return path

    def _sampled(self, trainer: Trainer, layout: Layout, clip: int) -> dict[str, Tensor]:
        def network(
            latents: Tensor, timestep: Tensor, text: Tensor, layer_index: Tensor, given: Tensor | None
        ) -> Tensor:
            asked = Question(
                latents=latents,
                timestep=timestep,
                text=text,
                layer_index=layer_index,
                given=given,
                slots=self.feed.slots,
            )
            v: Tensor = trainer.wrapped(asked)
            return v

        clean, text = self.feed.parts[0].cache.row(clip, layout.prompts)
        mask = given_mask(layout)
        given = clean[mask][None]
        denoiser = LayerDenoiser(network=network, layout=layout, given=given, device=trainer.device)
        guided_v = guided(denoiser, text[None], self.sampler.guidance)
        noise = torch.Generator().manual_seed(clip)
        state = self.sampler.start((1, int((~mask).sum()), *clean.shape[1:]), noise)
        while state.step < self.sampler.num_steps:
            state = self.sampler.step(state, guided_v)
        latents = splice(layout, state.latents, given)[0]
        return {name: to_unit(pixels) for name, pixels in decode_layers(self.codec, latents, layout)}


def _clip(made: dict[str, Tensor]) -> LayeredClip:
    """The model's layers `[F, 3, H, W]` in [0, 1] as a clip to look at."""
    pixels = {name: to_pixels(picture.float()) for name, picture in made.items()}
    fronts = [name for name in pixels if name.startswith("foreground")]
    pictures = []
    for name in fronts:
        alpha = f"alpha{name.removeprefix('foreground')}"
        matte = pixels[alpha].mean(axis=-1) if alpha in pixels else pixels[name][..., 0] * 0 + 1
        straight = straight_from_grey(pixels[name], matte)
        codes = to_bytes(straight.clip(0, 1)), to_bytes(matte[..., None].clip(0, 1))
        pictures.append(np.concatenate(codes, axis=-1))
    return LayeredClip(
        foregrounds=tuple(pictures),
        background=to_bytes(pixels["background"]),
        blended=pixels["blended"],
        captions=("",) * (len(fronts) + 2),
    )
