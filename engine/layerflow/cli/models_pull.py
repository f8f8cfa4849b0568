"""`layerflow models pull`."""

from __future__ import annotations

import click

from layerflow.cli.options import json_option
from layerflow.cli.progress import progress
from layerflow.cli.report import print_json
from layerflow.cli.stop import stop_on_signal
from layerflow.errors import Interrupted


@click.command("pull")
@click.argument("name")
@click.option("--variant", "variants", multiple=True, help="Only this one, like seg_rgba; may be repeated.  [all]")
@click.option("--revision", default="main", show_default=True, help="Branch, tag or commit of the checkpoints.")
@json_option
def pull_models(name: str, variants: tuple[str, ...], revision: str, as_json: bool) -> None:
    """Download a release, such as layerflow-2b, and make models of it. What is here already is kept."""
    from layerflow.models.pull import pull
    from layerflow.models.shelf import model_name

    with stop_on_signal() as stop, progress() as show:
        stop.keep_work()  # so that an unfinished folder is taken away
        try:
            models = pull(name, variants=variants, revision=revision, on_event=show)
        except KeyboardInterrupt as interrupt:
            raise Interrupted("stopped; the same command goes on from here") from interrupt
    if as_json:
        print_json({"models": [{"name": model_name(model), "path": model.path} for model in models]})
        return
    for model in models:
        click.echo(f"{model_name(model)}: {model.path}")
