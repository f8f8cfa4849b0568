"""`layerflow train`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from layerflow.cli.train_stages import base, cache, content_lora, motion_lora
from layerflow.errors import RequestError
from layerflow.files import refused_as

if TYPE_CHECKING:
    from layerflow.training.schedule import Progress

_REPORT_STEPS = 100
_FOLDER = click.Path(file_okay=False, path_type=Path)
_EXISTING = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group()
def train() -> None:
    """Train models: the bundled one from its data on, or the three stages of a config."""


for stage in (base, motion_lora, content_lora, cache):
    train.add_command(stage)


@train.command()
@click.argument("archives", type=_EXISTING)
@click.option("-o", "--output", type=_FOLDER, required=True, help="The dataset folder to write.")
def pack(archives: Path, output: Path) -> None:
    """Pack the training data from the downloaded archives in one folder."""
    from layerflow.training import pack as packing

    with refused_as(RequestError):
        found = packing.Archives.in_folder(archives)
    packing.pack(found, output)
    click.echo(f"dataset: {output}")


@train.command()
@click.argument("dataset", type=_EXISTING)
@click.option("--minilm", type=_EXISTING, required=True, help="Folder of the MiniLM model to distil.")
@click.option("-o", "--output", type=_FOLDER, required=True, help="The folder to write.")
def init(dataset: Path, minilm: Path, output: Path) -> None:
    """Make what a fresh model starts from: the fitted codec and the distilled text encoder."""
    from layerflow.training.init import make_init

    with _all_there():
        make_init(dataset, minilm, output)
    click.echo(f"start: {output}")


@train.command()
@click.argument("dataset", type=_EXISTING)
@click.option("--init", type=_EXISTING, help="Folder of the fitted codec and the distilled text table.")
@click.option("--start", metavar="MODEL", help="A bundled model to go on from, by name or folder, instead of --init.")
@click.option("-o", "--output", type=_FOLDER, required=True, help="Folder for checkpoints and the finished model.")
@click.option(
    "--recipe",
    "size",
    type=click.Choice(["bundled", "full", "head"]),
    default="bundled",
    help="full: for a large GPU; head: the head in pixels alone, on a model that is trained.",
)
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or cuda:N.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Time, all runs together.  [the recipe's]")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True)
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint in the output folder.")
def mini(
    dataset: Path,
    init: Path | None,
    start: str | None,
    output: Path,
    size: str,
    device: str,
    minutes: float | None,
    seed: int,
    resume: bool,
) -> None:
    """Train the bundled model on a packed dataset."""
    from layerflow.models.places import pick_device
    from layerflow.training import mini as training
    from layerflow.training.recipe import Recipe

    recipe = {"bundled": Recipe, "full": Recipe.full, "head": Recipe.of_head}[size]()
    recipe = recipe if minutes is None else replace(recipe, minutes=minutes)
    place = pick_device(device)
    with _all_there():
        begin = _beginning(init, start)
        model = training.train(dataset, begin, output, recipe, seed=seed, resume=resume, device=place, report=_report)
    click.echo(f"model: {model.path}")


def _beginning(init: Path | None, start: str | None) -> Path:
    """The folder that training starts from."""
    from layerflow.models.shelf import find_model

    if start is not None and init is None:
        return find_model(start).path
    if init is None or start is not None:
        raise RequestError("training starts from --init or from --start; give one of them")
    return init


def _report(progress: Progress) -> None:
    if progress.step % _REPORT_STEPS == 0:
        loss = sum(progress.losses[-_REPORT_STEPS:]) / len(progress.losses[-_REPORT_STEPS:])
        click.echo(f"step {progress.step}, {progress.seconds / 60:.1f} min, loss {loss:.4f}", err=True)


@contextmanager
def _all_there() -> Iterator[None]:
    """Turns a file that an earlier step should have left into a RequestError."""
    try:
        yield
    except FileNotFoundError as error:
        raise RequestError(f"{error.filename} is not there; docs/training.md says which step makes it") from error
