"""What a stage trains on and starts from: its model, its layouts, its kinds of clips and their caches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from layerflow.errors import ModelError, RequestError
from layerflow.layout import Layout
from layerflow.mixing import Slots
from layerflow.models.folder import MANIFEST, ModelFolder, open_model
from layerflow.models.plain import plain_model
from layerflow.models.shelf import find_model
from layerflow.training.cached_feed import Part
from layerflow.training.checkpoints import Checkpoints
from layerflow.training.config import BaseStage, Config, ContentStage, MotionStage, StageName
from layerflow.training.kinds import Kind, Wanted
from layerflow.training.latent_cache import LatentCache, Sequenced
from layerflow.training.render import RenderConfig
from layerflow.training.schedule import Schedule
from layerflow.training.trainer import Plan
from layerflow.transformer import LayerFlowTransformer
from layerflow.wire import Event

START = "start"  # plain CogVideoX-2B as a model folder, in the output
STILL, MOVING = 1.0, 0.0  # scales of the Motion LoRA


@dataclass(frozen=True, kw_only=True)
class Clips:
    """One part of a stage's clips."""

    kind: Kind
    data: Path
    share: float = 1.0
    motion: float | None = None
    frozen: float = 0.0

    @property
    def name(self) -> str:
        """What it is called where its loss is told."""
        return self.kind if self.motion is None else f"{self.kind}, motion {self.motion:g}"


@dataclass(frozen=True)
class Materials:
    """Those of the stage `name` of `config`."""

    config: Config
    name: StageName

    @property
    def folder(self) -> Path:
        """Where its checkpoints and results are."""
        return self.config.output / self.name

    @cached_property
    def model(self) -> ModelFolder:
        """What it starts from: the base stage's model in the same output, or the config's start. Raises ModelError."""
        base = self.config.output / "base"
        if self.name != "base":
            if (base / "model" / MANIFEST).is_file():
                return open_model(base / "model")
            if Checkpoints(folder=base).found():
                raise ModelError(
                    f"the base stage in {base} has not ended; go on with layerflow train base CONFIG --resume"
                )
        if self.config.variant is not None:
            return open_model(self.config.output / START)
        return find_model(self.config.start)

    def make_start(self) -> None:
        """Makes a model folder of plain CogVideoX-2B, if that is the start. Raises ModelError or OutputError."""
        target = self.config.output / START
        if self.config.variant is not None and not (target / MANIFEST).is_file():
            plain_model(Path(self.config.start), target, self.config.variant)

    @cached_property
    def layouts(self) -> list[Layout]:
        """Those of the tasks that are trained. Raises ModelError or RequestError."""
        tasks = self.config.tasks or tuple(self.model.manifest.layouts)
        layouts = [self.model.layout(task) for task in tasks]
        if len({Sequenced.of(layout) for layout in layouts}) > 1:
            raise RequestError(
                f"{', '.join(tasks)} of {self.model.manifest.name} lay their layers in different ways; name with tasks "
                "in the config those to train together"
            )
        return layouts

    @property
    def slots(self) -> Slots:
        """Which of the network's layers the sequence holds."""
        if self.model.manifest.all_layers:
            return self.model.slots(self.layouts[0].layers)
        return tuple(range(self.mixed_layers))

    @cached_property
    def mixed_layers(self) -> int:
        """Layers that the network tells from each other; 0 as released."""
        config = LayerFlowTransformer.load_config(self.model.path / "transformer", local_files_only=True)
        return int(config.get("mixed_layers", 0))

    @property
    def plan(self) -> Plan:
        """How it goes, as the config says."""
        config, stage = self.config, self.config.stage(self.name)
        return Plan(
            schedule=Schedule(
                steps=stage.steps, minutes=stage.minutes, warmup_steps=stage.warmup_steps, decay=stage.decay
            ),
            accumulation=config.accumulation,
            max_grad_norm=config.max_grad_norm,
            ema_decay=stage.ema_decay,
            save_steps=config.save_every,
            keep=config.keep,
        )

    @property
    def clips(self) -> list[Clips]:
        """What it is trained on.

        Copy-paste video held still at scale 1 is all that moves the Motion LoRA: at scale 0 it has no gradient.
        """
        stage = self.config.stage(self.name)
        if isinstance(stage, BaseStage):
            return [Clips(kind="video", data=stage.data, frozen=stage.frozen)]
        if isinstance(stage, MotionStage):
            return [Clips(kind="frozen", data=stage.data, motion=STILL)]
        assert isinstance(stage, ContentStage)
        stills = Clips(kind="stills", data=stage.data, share=1 - stage.video_share, motion=STILL)
        video = Clips(kind="moving", data=stage.video, share=stage.video_share, motion=MOVING)
        return [stills, video] if stage.video_share else [stills]

    @property
    def checked(self) -> list[Clips]:
        """What it is measured on: its own kinds; for the Motion LoRA moving clips without it, which may not change."""
        stage = self.config.stage(self.name)
        moving = [Clips(kind="moving", data=stage.data, motion=MOVING)] if isinstance(stage, MotionStage) else []
        return [*self.clips, *moving]

    def parts(self, *, held_out: bool) -> list[Part]:
        """Its clips with their caches, or those it is measured on."""
        clips = self.checked if held_out else self.clips
        return [
            Part(name=each.name, cache=self._cache(each, held_out=held_out), share=each.share, motion=each.motion)
            for each in clips
        ]

    def fill(
        self,
        device: torch.device,
        *,
        rank: int = 0,
        num_processes: int = 1,
        on_event: Callable[[Event], None] = lambda event: None,
    ) -> None:
        """Makes what its caches lack. Raises PlateError, RequestError or OutputError."""
        for held_out in self.needed:
            for part in self.parts(held_out=held_out):
                if part.cache.missing():
                    on_event(Event("stage", f"encoding clips into {part.cache.folder}"))

                def shown(done: int, total: int) -> None:
                    on_event(Event("frame", done=done, total=total))

                part.cache.fill(device, rank=rank, num_processes=num_processes, on_shard=shown)

    def refresh(self, tell: Callable[[str], None]) -> None:
        """Empties caches that were made of something else."""
        for held_out in self.needed:
            for part in self.parts(held_out=held_out):
                part.cache.refresh(tell)

    @property
    def needed(self) -> tuple[bool, ...]:
        """Whether clips are needed of the training part of the data, and of the one held out."""
        return (False, True) if self.config.check_every or self.config.sheets.every else (False,)

    def _cache(self, clips: Clips, *, held_out: bool) -> LatentCache:
        config, layout = self.config, self.layouts[0]
        manifest = self.model.manifest
        root = config.cache.folder or config.output / "cache"
        return LatentCache(
            folder=root / f"{self.name}-{clips.kind}{'-held-out' if held_out else ''}",
            model=self.model,
            wanted=Wanted(
                data=clips.data,
                kind=clips.kind,
                size=RenderConfig(num_frames=layout.num_frames, height=manifest.height, width=manifest.width),
                held_out=held_out,
                frozen=clips.frozen,
                seed=config.seed + held_out,
                num_clips=self._num_held_out if held_out else config.cache.clips,
            ),
            sequenced=Sequenced.of(layout),
            shard=config.cache.shard,
        )

    @property
    def _num_held_out(self) -> int:
        config = self.config
        return max(config.check_clips, config.sheets.clips)
