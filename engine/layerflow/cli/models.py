"""`layerflow models`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from rich.filesize import decimal

from layerflow.cli.models_import import import_model
from layerflow.cli.models_pull import pull_models
from layerflow.cli.options import json_option
from layerflow.cli.report import print_json
from layerflow.errors import ModelError

if TYPE_CHECKING:
    from layerflow.models.folder import ModelFolder


@click.group()
def models() -> None:
    """Get, import, list, describe, verify and remove the models on this machine."""


models.add_command(import_model)
models.add_command(pull_models)


@models.command("list")
@json_option
def list_models(as_json: bool) -> None:
    """List the models that --model takes by name."""
    from layerflow.models import shelf
    from layerflow.models.disk import size_on_disk

    found = shelf.list_models()
    if as_json:
        print_json({"models": [_summary(model) for model in found]})
        return
    for model in found:
        tasks, size = ", ".join(model.manifest.layouts), decimal(size_on_disk([model.path]))
        click.echo(f"{shelf.model_name(model)}: {tasks}, {size} ({model.path})")


@models.command()
@click.argument("name", default="mini")
@json_option
def info(name: str, as_json: bool) -> None:
    """Describe one model, or every model of a family: NAME is a name or a folder."""
    from layerflow.models.shelf import find_models

    summaries = [_summary(model) for model in find_models(name)]
    if as_json:
        print_json(summaries[0] if len(summaries) == 1 else {"models": summaries})
        return
    for summary in summaries:
        for key, value in summary.items():
            click.echo(f"{key}: {_in_words(value)}")


@models.command()
@click.argument("name", default="mini")
@json_option
def verify(name: str, as_json: bool) -> None:
    """Check every file of a model, or of a family of models, against its recorded hash."""
    from layerflow.models.hashes import HashOnce
    from layerflow.models.shelf import find_models, model_name

    found = find_models(name)
    once = HashOnce()
    broken = [str(model.path / file) for model in found for file in model.damaged(sha256=once)]
    if broken:
        raise ModelError(f"damaged or missing: {', '.join(broken)}; remove that model and install it again")
    if as_json:
        checked = [{"name": model_name(model), "files": _count(model), "sha256": model.sha256} for model in found]
        print_json(checked[0] if len(checked) == 1 else {"models": checked})
    else:
        for model in found:
            click.echo(f"{model_name(model)}: {_count(model)} files are as they should be")


@models.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def remove(name: str, yes: bool, as_json: bool) -> None:
    """Delete a model, or a family of models, from the folder of models."""
    from layerflow.models import disk

    folders = disk.removable(name)
    freed = disk.bytes_freed(folders)
    if not yes:
        listed = ", ".join(map(str, folders))
        click.confirm(f"Delete {listed}? That frees {decimal(freed)}.", abort=True, err=True)
    disk.remove(folders)
    if as_json:
        print_json({"removed": folders, "bytes": freed})
    else:
        click.echo(f"removed {name}, {decimal(freed)} freed")


def _count(model: ModelFolder) -> int:
    return len(model.manifest.sha256)


def _in_words(value: object) -> str:
    if isinstance(value, dict):
        value = [f"{key} {number}" for key, number in value.items()]
    return ", ".join(value) or "nothing" if isinstance(value, list) else str(value)


def _summary(model: ModelFolder) -> dict[str, Any]:
    from layerflow.models.disk import size_on_disk
    from layerflow.models.shelf import model_name

    manifest = model.manifest
    return {
        "name": model_name(model),
        "description": manifest.description,
        "tasks": list(manifest.layouts),
        "foregrounds": {task: model.most_foregrounds(task) for task in manifest.layouts},
        "width": manifest.width,
        "height": manifest.height,
        "fps": manifest.fps,
        "steps": {task: model.sampler(task).num_steps for task in manifest.layouts},
        "sampler": manifest.sampler.kind,
        "cleaned_up": list(model.cleaned_up),
        "licence": manifest.licence,
        "path": str(model.path),
        "bytes": size_on_disk([model.path]),
        "sha256": model.sha256,
    }
