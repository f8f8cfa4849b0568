"""The paper's three stages: what each trains, on what, and what it leaves behind."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor

from layerflow.errors import RequestError
from layerflow.models.adapter_files import AdapterFiles, find_lora
from layerflow.models.codecs import load_codec
from layerflow.models.folder import SAFE
from layerflow.models.places import pick_dtype
from layerflow.models.plans import FULL
from layerflow.training.average import trained_weights
from layerflow.training.batches import Chances, Objective, Portion
from layerflow.training.cached_feed import CachedFeed
from layerflow.training.checkpoints import refuse_over
from layerflow.training.config import BaseStage, Config, ContentStage, MotionStage, StageName
from layerflow.training.devices import open_accelerator
from layerflow.training.joint_stage import train_joint
from layerflow.training.lora import (
    CONTENT,
    MOTION,
    add_lora,
    chosen_blocks,
    load_lora,
    lora_settings,
    lora_weights,
    write_lora_file,
)
from layerflow.training.materials import MOVING, STILL, Materials
from layerflow.training.optimizers import Optimizers
from layerflow.training.results import write_merged, write_trained
from layerflow.training.sharding import whole
from layerflow.training.trainer import Trainer
from layerflow.training.watching import SILENT, Checks, Curves, SheetMaker, Told
from layerflow.transformer import LayerFlowTransformer


def fill_cache(config: Config, name: StageName, told: Told = SILENT) -> None:
    """Encodes the clips of a stage ahead; what is there already is kept. Raises as `train_stage` does."""
    accelerator = open_accelerator()
    materials = Materials(config, name)
    _make_start(materials, accelerator)
    _fill(materials, accelerator, told.by(accelerator))


def train_stage(
    config: Config,
    name: StageName,
    *,
    resume: bool = False,
    told: Told = SILENT,
    accelerator: Accelerator | None = None,
) -> list[Path]:
    """Trains a stage to its end; the files and folders that it made, the model or the LoRA first.

    Raises RequestError or ModelError for a config or a model that does not do, OutputError, and Interrupted when it is
    stopped, its state kept.
    """
    materials = Materials(config, name)
    stage = config.stage(name)
    if isinstance(stage, BaseStage) and stage.joint:
        return train_joint(config, stage, materials, resume=resume, told=told)
    if not resume:
        refuse_over(materials.folder)
    accelerator = accelerator or open_accelerator(precision=config.precision, accumulation=config.accumulation)
    told = told.by(accelerator)
    _make_start(materials, accelerator)
    network = prepared_network(config, name, materials)
    _fill(materials, accelerator, told)
    trainer = _trainer(config, materials, network, accelerator, told)
    if resume:
        trainer.resume()
    curves = _watch(trainer, config, materials, told)
    trainer.run()
    curves.close()
    return _results(config, name, materials, trainer)


def prepared_network(config: Config, name: StageName, materials: Materials) -> LayerFlowTransformer:
    """The network a stage starts from, what it trains requiring gradients. Raises RequestError or ModelError."""
    path = materials.model.path / "transformer"
    materials.model.check("transformer")
    torch.manual_seed(config.seed)  # a LoRA begins at random
    with materials.model.loading():
        network: LayerFlowTransformer = LayerFlowTransformer.from_pretrained(path, **SAFE).float().train()
    network.requires_grad_(False)
    blocks = chosen_blocks(len(network.transformer_blocks), config.every_block)
    if not blocks:
        raise RequestError(
            f"every_block is {config.every_block} and {materials.model.manifest.name} has "
            f"{len(network.transformer_blocks)} blocks; choose at most that"
        )
    stage = config.stage(name)
    if isinstance(stage, BaseStage):
        for block in blocks:
            network.transformer_blocks[block].requires_grad_(True)
        if network.layer_embedding is not None:
            network.layer_embedding.requires_grad_(True)
    elif isinstance(stage, MotionStage):
        lora = stage.lora
        add_lora(network, MOTION, blocks, lora.targets, rank=lora.rank, alpha=lora.alpha)
    else:
        lora = stage.lora
        load_lora(network, MOTION, motion_files(config, stage), path)
        add_lora(network, CONTENT, blocks, lora.targets, rank=lora.rank, alpha=lora.alpha)
    if config.gradient_checkpointing:
        network.enable_gradient_checkpointing()
    return network


def motion_file(config: Config) -> Path:
    """Where the stage motion-lora leaves its LoRA."""
    return config.output / "motion-lora" / "motion-lora.safetensors"


def motion_files(config: Config, stage: ContentStage) -> AdapterFiles:
    """The Motion LoRA under which the Content LoRA is trained. Raises ModelError or RequestError."""
    path = stage.motion or motion_file(config)
    if not path.exists():
        raise RequestError(
            f"there is no Motion LoRA {path}; train it first with layerflow train motion-lora CONFIG, or name one as "
            "content-lora.motion"
        )
    return find_lora(f"{path.absolute()}:1")


def _make_start(materials: Materials, accelerator: Accelerator) -> None:
    if accelerator.is_main_process:
        materials.make_start()
    accelerator.wait_for_everyone()


def _fill(materials: Materials, accelerator: Accelerator, told: Told) -> None:
    if accelerator.is_main_process:
        materials.refresh(told.warn)
    accelerator.wait_for_everyone()
    materials.fill(
        accelerator.device,
        rank=accelerator.process_index,
        num_processes=accelerator.num_processes,
        on_event=told.on_event,
    )
    accelerator.wait_for_everyone()


def _feed(config: Config, materials: Materials, accelerator: Accelerator, *, held_out: bool = False) -> CachedFeed:
    return CachedFeed(
        parts=materials.parts(held_out=held_out),
        layouts=materials.layouts,
        slots=materials.slots,
        device=accelerator.device,
        portion=Portion(
            batch=config.stage(materials.name).batch,
            rank=accelerator.process_index,
            num_processes=accelerator.num_processes,
        ),
        chances=Chances() if held_out else Chances(text_dropout=config.text_dropout, pure_noise=config.pure_noise),
        seed=config.seed,
    )


def _trainer(
    config: Config, materials: Materials, network: LayerFlowTransformer, accelerator: Accelerator, told: Told
) -> Trainer:
    return Trainer(
        objective=Objective(network),
        feed=_feed(config, materials, accelerator),
        plan=materials.plan,
        optimizers=Optimizers(lr=config.stage(materials.name).lr),
        folder=materials.folder,
        accelerator=accelerator,
        seed=config.seed,
        decides=_decides(config, materials, accelerator),
        report=told.report,
        warn=told.warn,
        stopped=told.stopped,
    )


def _decides(config: Config, materials: Materials, accelerator: Accelerator) -> dict[str, object]:
    """What a run that goes on has to have in common with the one that began."""
    stage = json.loads(json.dumps(asdict(config.stage(materials.name)), default=str))
    shared = {
        "seed": config.seed,
        "precision": config.precision,
        "every_block": config.every_block,
        "samples of a step": config.accumulation * accelerator.num_processes * config.stage(materials.name).batch,
        "text_dropout": config.text_dropout,
        "pure_noise": config.pure_noise,
        "tasks": list(config.tasks),
        "model": materials.model.sha256,
    }
    free = ("steps", "minutes", "batch", "merge", "data", "video", "motion")  # a longer way, and what moved elsewhere
    return shared | {f"{materials.name}.{key}": value for key, value in stage.items() if key not in free}


def _watch(trainer: Trainer, config: Config, materials: Materials, told: Told) -> Curves:
    """Puts the watchers in place; the curves are to be closed."""
    curves = Curves(
        folder=materials.folder / "curves", first_step=trainer.progress.step, tell=told.warn, writes=trainer.is_main
    )
    feed = _feed(config, materials, trainer.accelerator, held_out=True)
    checks = Checks(feed=feed, every=config.check_every, num_clips=config.check_clips, curves=curves, tell=told.tell)
    trainer.watchers = [checks, curves]
    if config.sheets.every:
        trainer.watchers = [*trainer.watchers, _sheets(trainer, config, materials, feed)]
    return curves


def _sheets(trainer: Trainer, config: Config, materials: Materials, feed: CachedFeed) -> SheetMaker:
    model = materials.model
    with model.loading():
        codec = load_codec(model, trainer.device, pick_dtype("auto", trainer.device), FULL)
    own = model.sampler(next(iter(config.tasks or model.manifest.layouts)))
    motions = {"base": (None,), "motion-lora": (MOVING, STILL), "content-lora": (MOVING,)}
    return SheetMaker(
        feed=feed,
        codec=codec,
        sampler=replace(own, num_steps=config.sheets.steps or own.num_steps),
        folder=materials.folder / "sheets",
        every=config.sheets.every,
        num_clips=config.sheets.clips,
        motions=motions[materials.name],
    )


def _results(config: Config, name: StageName, materials: Materials, trainer: Trainer) -> list[Path]:
    """Writes what the stage is for; every process takes part, the main one writes."""
    network = trainer.objective.transformer
    weights: dict[str, Tensor] = {key: whole(value) for key, value in trained_weights(network)}
    if not trainer.is_main:
        return []
    if name == "base":
        return [write_trained(materials.folder / "model", materials.model, weights)]
    lora = MOTION if name == "motion-lora" else CONTENT
    settings = json.loads(json.dumps(lora_settings(network, lora), default=str))
    file = write_lora_file(materials.folder / f"{name}.safetensors", lora_weights(weights, lora), settings)
    stage = config.stage(name)
    if isinstance(stage, ContentStage) and stage.merge:
        motion = motion_files(config, stage)
        return [file, write_merged(materials.folder / "model", materials.model, file, motion)]
    return [file]
