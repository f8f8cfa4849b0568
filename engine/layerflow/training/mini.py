"""Trains the bundled model and writes it as a model folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from layerflow.data.manifest import MANIFEST as DATASET
from layerflow.layout import ALL_LAYERS
from layerflow.models.folder import MANIFEST, Manifest, ModelFolder, open_model, write_manifest
from layerflow.pixel_head import is_fixed
from layerflow.sampler import Guidance, NoiseSchedule, Sampler
from layerflow.training.batches import Objective, Portion
from layerflow.training.checkpoints import refuse_over
from layerflow.training.device_supply import DeviceSupply
from layerflow.training.devices import Precision, open_accelerator
from layerflow.training.folder_supply import FolderSupply, licences_of
from layerflow.training.joint import JointFeed, LayeredData
from layerflow.training.optimizers import Optimizers
from layerflow.training.recipe import Model, Recipe, fresh_model, measure_latents, started_model
from layerflow.training.render import RenderConfig
from layerflow.training.schedule import Progress, Schedule
from layerflow.training.supply import Sources, Supply
from layerflow.training.trainer import Plan, Trainer, frozen_but, step_of

SAVE_SECONDS = 120.0
CARD, DATA_LICENCE = "MODEL_CARD.md", "LICENSE-data.md"
LICENCE = "Apache-2.0; what it was trained on is in LICENSE-data.md"
DESCRIPTION = "A small model of cut-outs over landscapes, 8 frames of 96x64: a demonstration of the whole way."


def train(
    pack: Path,
    start: Path,
    folder: Path,
    recipe: Recipe,
    *,
    seed: int = 0,
    resume: bool = False,
    device: torch.device | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
) -> ModelFolder:
    """The model folder `folder/model`, after training on the data in `pack` from the start in `start`.

    Data is what `layerflow train pack` or `layerflow data` wrote. The start is the fitted codec and the text table of a
    fresh model, or a model folder to go on from.
    """
    device = device or torch.device("cpu")
    if not resume:
        refuse_over(folder)
    data = supply_of(pack, recipe, seed=seed, step=step_of(folder) if resume else 0)
    if (start / MANIFEST).is_file():
        model = started_model(recipe, open_model(start))
    else:
        model = fresh_model(recipe, start, seed=seed)
        clips, _ = data.batch(np.random.default_rng(seed), 128, ALL_LAYERS)
        measure_latents(model, torch.from_numpy(clips).movedim(-1, -3), NoiseSchedule())
    trainer = joint_trainer(model, recipe, data, folder, device=device, seed=seed)
    trainer.report = report
    if resume:
        trainer.resume()
    seen = written_licences(pack, folder)
    trainer.run()
    return write_model(model, recipe, folder / "model", licences(seen, start))


def written_licences(data: Path, folder: Path) -> Path:
    """The folder whose LICENSE-data.md tells of `data`: a pack has one, for a dataset folder it is written here."""
    if not (data / DATASET).is_file():
        return data
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DATA_LICENCE).write_text(licences_of(data), encoding="utf-8")
    return folder


def joint_trainer(
    model: Model,
    recipe: Recipe,
    data: LayeredData,
    folder: Path,
    *,
    device: torch.device | None = None,
    seed: int = 0,
    precision: Precision = "bfloat16",
    plan: Plan | None = None,
) -> Trainer:
    """The loop that trains all of `model` by `recipe`, on `device` or on those that accelerate was launched with."""
    plan = plan or recipe_plan(recipe)
    accelerator = open_accelerator(precision=precision, accumulation=plan.accumulation, device=device, some_unused=True)
    on_gpu = accelerator.device.type != "cpu" and isinstance(data, Supply)
    model.text.encoder.train()
    if recipe.head_frames:
        model.text.encoder.requires_grad_(False)
        frozen_but(model.transformer, lambda name: name.startswith("pixel_head.") and not is_fixed(name))
    return Trainer(
        objective=Objective(model.transformer, model.text.encoder),
        feed=JointFeed(
            model=model,
            recipe=recipe,
            data=DeviceSupply(data, accelerator.device) if on_gpu and isinstance(data, Supply) else data,
            device=accelerator.device,
            portion=Portion(
                batch=recipe.batch, rank=accelerator.process_index, num_processes=accelerator.num_processes
            ),
            seed=seed,
        ),
        plan=plan,
        optimizers=Optimizers(lr=recipe.adam_lr, muon_lr=recipe.muon_lr, beside_lr=recipe.beside_lr, betas=(0.9, 0.98)),
        folder=folder,
        accelerator=accelerator,
        seed=seed,
    )


def recipe_plan(recipe: Recipe) -> Plan:
    """How long and how fast, as the recipe says, with a checkpoint every two minutes."""
    return Plan(
        schedule=Schedule(minutes=recipe.minutes, warmup_steps=recipe.warmup_steps, decay=recipe.decay),
        ema_decay=recipe.ema_decay,
        save_seconds=SAVE_SECONDS,
    )


def supply_of(data: Path, recipe: Recipe, *, seed: int, step: int) -> Supply | FolderSupply:
    """The clips of a packed dataset or of a dataset folder, after so many steps. Raises PlateError."""
    size = RenderConfig(num_frames=recipe.num_frames, height=recipe.height, width=recipe.width)
    if (data / DATASET).is_file():
        return FolderSupply(folder=data, config=size, step=step)
    return Supply(
        sources=Sources.of_pack(data),
        config=size,
        num_clips=recipe.num_clips,
        renewed=recipe.renewed,
        seed=seed,
        step=step,
    )


def licences(pack: Path, start: Path) -> dict[str, Path]:
    """Where the licences of data and start lie, and the card of a model gone on from, by place in the model folder."""
    found = {DATA_LICENCE: pack / DATA_LICENCE}
    found |= {card.name: card for card in start.glob(CARD)}
    return found | {f"{notice.parent.name}/NOTICE": notice for notice in sorted(start.glob("*/NOTICE"))}


def write_model(model: Model, recipe: Recipe, path: Path, licences: Mapping[str, Path]) -> ModelFolder:
    """Writes `model` as the model folder `path`, weights in half precision; replaces what is there.

    `licences` are copied beside the weights, each to its place in the folder.
    """
    part = path.with_name(path.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    model.transformer.to(torch.float16).save_pretrained(part / "transformer")
    model.text.encoder.to(torch.float16).save_pretrained(part / "text_encoder")
    model.text.tokenizer.save_pretrained(part / "tokenizer")
    (part / "codec").mkdir()
    save_file({k: v.contiguous().cpu() for k, v in model.codec.state_dict().items()}, part / "codec/codec.safetensors")
    for place, licence in licences.items():
        shutil.copy(licence, part / place)
    write_manifest(part, manifest(model, recipe))
    shutil.rmtree(path, ignore_errors=True)
    part.replace(path)
    return write_manifest(path, manifest(model, recipe))


def manifest(model: Model, recipe: Recipe) -> Manifest:
    """What `layerflow.json` says of a model of this recipe."""
    return Manifest(
        name="mini",
        description=DESCRIPTION,
        licence=LICENCE,
        layouts=recipe.cases.layouts(),
        further=recipe.cases.further(),
        all_layers=ALL_LAYERS,
        sampler=Sampler(num_steps=6, guidance=Guidance(scale=1.0, power=None)),
        steps={"decompose": 1},  # where a plate is given, more steps score lower
        height=recipe.height,
        width=recipe.width,
        fps=8.0,
        codec="linear",
        prompt_tokens=model.text.num_tokens,
    )
