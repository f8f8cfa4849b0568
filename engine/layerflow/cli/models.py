"""`layerflow models`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from layerflow.cli.options import json_option
from layerflow.cli.report import print_json
from layerflow.errors import ModelError

if TYPE_CHECKING:
    from layerflow.models.folder import ModelFolder


@click.group()
def models() -> None:
    """List, describe and verify the models on this machine."""


@models.command("list")
@json_option
def list_models(as_json: bool) -> None:
    """List the models that --model takes by name."""
    from layerflow.models import folder

    found = folder.list_models()
    if as_json:
        print_json({"models": [_summary(model) for model in found]})
        return
    for model in found:
        click.echo(f"{model.manifest.name}: {', '.join(model.manifest.layouts)} ({model.path})")


@models.command()
@click.argument("name", default="mini")
@json_option
def info(name: str, as_json: bool) -> None:
    """Describe one model: NAME is a name or a folder."""
    from layerflow.models.folder import find_model

    summary = _summary(find_model(name))
    if as_json:
        print_json(summary)
        return
    for key, value in summary.items():
        click.echo(f"{key}: {_in_words(value)}")


@models.command()
@click.argument("name", default="mini")
@json_option
def verify(name: str, as_json: bool) -> None:
    """Check every file of a model against its recorded hash."""
    from layerflow.models.folder import find_model

    model = find_model(name)
    if damaged := list(model.damaged()):
        raise ModelError(f"{model.path} is damaged: {', '.join(damaged)}; install the model again")
    if as_json:
        print_json({"name": model.manifest.name, "files": len(model.manifest.sha256), "sha256": model.sha256})
    else:
        click.echo(f"{model.manifest.name}: {len(model.manifest.sha256)} files are as they should be")


def _in_words(value: object) -> str:
    if isinstance(value, dict):
        value = [f"{key} {number}" for key, number in value.items()]
    return ", ".join(value) if isinstance(value, list) else str(value)


def _summary(model: ModelFolder) -> dict[str, Any]:
    manifest = model.manifest
    return {
        "name": manifest.name,
        "description": manifest.description,
        "tasks": list(manifest.layouts),
        "width": manifest.width,
        "height": manifest.height,
        "fps": manifest.fps,
        "steps": {task: model.sampler(task).num_steps for task in manifest.layouts},
        "sampler": manifest.sampler.kind,
        "licence": manifest.licence,
        "path": str(model.path),
        "sha256": model.sha256,
    }
