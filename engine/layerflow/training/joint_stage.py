"""The base stage of a small model, trained jointly: the whole network and the text encoder, as `train mini` does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from layerflow.errors import RequestError
from layerflow.training import mini
from layerflow.training.checkpoints import refuse_over
from layerflow.training.config import BaseStage, Config
from layerflow.training.kinds import digest
from layerflow.training.materials import Materials
from layerflow.training.recipe import Recipe, started_model
from layerflow.training.trainer import step_of
from layerflow.training.watching import Curves, Told


def train_joint(config: Config, stage: BaseStage, materials: Materials, *, resume: bool, told: Told) -> list[Path]:
    """The model folder that came of it. Raises as `train_stage` does."""
    folder = materials.folder
    if not resume:
        refuse_over(folder)
    step = step_of(folder) if resume else 0
    recipe = _recipe(config, stage, materials)
    digest(stage.data)
    data = mini.supply_of(stage.data, recipe, seed=config.seed, step=step)
    model = started_model(recipe, materials.model)
    trainer = mini.joint_trainer(
        model, recipe, data, folder, seed=config.seed, precision=config.precision, plan=materials.plan
    )
    told = told.by(trainer.accelerator)
    trainer.report, trainer.warn, trainer.stopped = told.report, told.warn, told.stopped
    if resume:
        trainer.resume()
    curves = Curves(folder=folder / "curves", first_step=trainer.progress.step, tell=told.warn, writes=trainer.is_main)
    trainer.watchers = [curves]
    trainer.run()
    curves.close()
    if not trainer.is_main:
        return []
    seen = mini.written_licences(stage.data, folder)
    return [mini.write_model(model, recipe, folder / "model", mini.licences(seen, materials.model.path)).path]


def _recipe(config: Config, stage: BaseStage, materials: Materials) -> Recipe:
    """mini's recipe, of the size of the model that is gone on from. Raises RequestError."""
    manifest = materials.model.manifest
    if manifest.codec != "linear" or not materials.mixed_layers:
        raise RequestError(
            f"{manifest.name} cannot be trained jointly, only a small model such as mini can; leave base.joint out"
        )
    return replace(
        Recipe(),
        height=manifest.height,
        width=manifest.width,
        num_frames=next(iter(manifest.layouts.values())).num_frames,
        prompt_tokens=manifest.prompt_tokens,
        batch=stage.batch,
        adam_lr=stage.lr,
        muon_lr=stage.muon_lr,
        text_dropout=config.text_dropout,
    )
