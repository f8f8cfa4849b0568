"""The shot that every contender makes, and where its inputs come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import torch
import torch.nn.functional as nnf

from layerflow import color
from layerflow.assemble import Frame, model_pictures, stacked
from layerflow.layers import Pixels
from layerflow.layout import PROMPT_ORDER, Task
from layerflow.models.folder import ModelFolder
from layerflow.pipeline import Clip, pick_sampler
from layerflow.preprocess import Fit
from layerflow.quality import QUALITIES
from layerflow.sampler import Sampler
from layerflow.wire import Request

PROMPTS = dict(zip(PROMPT_ORDER, ("a parrot", "a desert", "a parrot in a desert"), strict=True))
DRIFT = 4  # frames between two independent pictures of the plate


@dataclass(frozen=True, kw_only=True)
class Case:
    """One window of one task, made of prompts and a drawn plate."""

    model: str
    task: Task = "generate"
    steps: int | None = None  # None: the model's own
    guidance: float | None = None  # None: the model's own schedule
    seed: int = 0
    device: str = "auto"

    def clip(self, folder: ModelFolder) -> Clip:
        """What one window is made from."""
        model, layout = folder.manifest, folder.layout(self.task)
        fit = Fit(width=model.width, height=model.height, columns=model.width, rows=model.height)
        frames = [Frame(pixels=pixels, colorspace=color.display_space()) for pixels in self.plate(folder)]
        return Clip(
            layout=layout,
            prompts=PROMPTS,
            given=stacked([model_pictures(frame, layout, fit) for frame in frames]) if layout.given else {},
            seed=self.seed,
            height=model.height,
            width=model.width,
            drawn=folder.fidelity().posterior,
        )

    def sampler(self, folder: ModelFolder, quality: str = "exact") -> Sampler:
        """The model's own sampler with what the case and `quality` change."""
        own = folder.sampler(self.task)
        return pick_sampler(own, steps=self.steps, guidance=self.guidance, kind=None, quality=QUALITIES[quality])

    def plate(self, folder: ModelFolder) -> Pixels:  # [F, H, W, 3 | 4] straight, display-referred
        """A drifting, soft random picture of the model's size; with alpha for the task that starts from one."""
        model, layout = folder.manifest, folder.layout(self.task)
        coarse = (layout.num_frames // DRIFT + 2, model.height // 16, model.width // 16)
        channels = 4 if self.task == "background" else 3
        values = torch.rand(1, channels, *coarse, generator=torch.Generator().manual_seed(self.seed))
        size = (layout.num_frames, model.height, model.width)
        return np.ascontiguousarray(nnf.interpolate(values, size, mode="trilinear")[0].permute(1, 2, 3, 0).numpy())

    def write_plate(self, folder: ModelFolder, target: Path) -> str:
        """Writes the plate as PNG files into the folder `target`; their pattern."""
        for number, pixels in enumerate(self.plate(folder), start=1):
            image = oiio.ImageBuf(pixels)
            image.specmod().attribute("oiio:UnassociatedAlpha", 1)
            image.write(str(target / f"plate.{number:04d}.png"), "uint8")
        return str(target / "plate.%04d.png")

    def request(self, folder: ModelFolder, output: Path, *, plate: str, backend: str, precision: str) -> Request:
        """The same shot for `layerflow.shots.render`; `plate` is where the plate was written, as a pattern."""
        foreground, background, blended = PROMPTS.values()
        return Request(
            task=self.task,
            plate=plate or None,
            foreground=foreground,
            background=background,
            blended=blended,
            model=str(folder.path),
            seed=self.seed,
            steps=self.steps,
            guidance=self.guidance,
            output=str(output / "bench.%04d.exr"),
            device=self.device,
            precision=precision,
            backend=backend,
        )


def guides(sampler: Sampler) -> bool:
    """Whether any step has a guidance weight other than 1: diffusers then computes both halves in all of them."""
    return any(sampler.guidance.weight(timestep, sampler.num_steps) != 1.0 for timestep in sampler.timesteps)
