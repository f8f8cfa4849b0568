"""`layerflow evaluate`."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
from click.core import ParameterSource

from layerflow.cli.options import json_option, model_option
from layerflow.cli.progress import progress
from layerflow.cli.report import print_json

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@model_option
@click.option(
    "--task",
    "tasks",
    type=click.Choice(["decompose", "generate", "background", "foreground"]),
    multiple=True,
    help="Score this task; may repeat.  [all that the model does]",
)
@click.option("--clips", type=click.IntRange(1), default=64, show_default=True, help="How many held-out clips.")
@click.option("--steps", type=click.IntRange(1, 1000), help="Sampling steps.  [the model's own]")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True)
@click.option("--davis", type=_FOLDER, help="Also real plates: NAME/bl with NAME/mask, or the tree of DAVIS.")
@click.option("--pack", type=_FOLDER, help="The packed dataset, to see what the probes tell of real renders.")
@click.option("--page", type=click.Path(file_okay=False, path_type=Path), help="Folder for a page with pictures.")
@json_option
def evaluate(
    model: str,
    tasks: tuple[str, ...],
    clips: int,
    steps: int | None,
    seed: int,
    davis: Path | None,
    pack: Path | None,
    page: Path | None,
    as_json: bool,
) -> None:
    """Score a model on held-out clips whose layers are known."""
    from layerflow.evaluate.names import measure_of
    from layerflow.evaluate.whole import Wish, evaluate

    wish = Wish(
        model=model,
        tasks=tasks,  # type: ignore[arg-type]  # click has checked them
        num_clips=clips,
        steps=steps,
        seed=seed,
        pack=pack,
        davis=davis,
        page=page,
    )
    asked = click.get_current_context()
    with progress() as show:
        found = evaluate(wish, told=_command(asked), on_event=show)
    for note in found.notes:
        click.echo(note, err=True)
    if as_json:
        print_json(found.scores)
        return
    for name, score in found.scores.items():
        click.echo(f"{name}: {measure_of(name).told(score)}")
    if page is not None:
        click.echo(f"page: {page / 'index.html'}")


def _command(context: click.Context) -> str:
    """The command that was given, for the page to say."""
    words = ["layerflow", "evaluate"]
    for parameter in context.command.params:
        name = parameter.name or ""
        if context.get_parameter_source(name) is not ParameterSource.COMMANDLINE or name in ("as_json", "page"):
            continue
        value = context.params[name]
        for each in value if isinstance(value, tuple) else (value,):
            words += [parameter.opts[0], str(each)]
    return shlex.join(words)
