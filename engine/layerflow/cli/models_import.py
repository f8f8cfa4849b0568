"""`layerflow models import`."""

from __future__ import annotations

from pathlib import Path

import click

from layerflow.cli.options import json_option
from layerflow.cli.progress import progress
from layerflow.cli.report import print_json
from layerflow.cli.stop import stop_on_signal


@click.command("import")
@click.argument("source", metavar="PATH", type=click.Path(path_type=Path))
@click.option("--base", type=click.Path(path_type=Path), help="Folder of CogVideoX-2B.  [that of an imported model]")
@click.option("--variant", help="Which released variant it is, like seg_rgba.  [recognised]")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder to make.  [layerflow-2b/VARIANT by name]")
@click.option("--precision", type=click.Choice(["float32", "bfloat16", "float16"]), help="Stored as.  [as it comes]")
@click.option("--width", default=720, show_default=True, help="Pixels that it was trained for.")
@click.option("--height", default=480, show_default=True, help="Pixels that it was trained for.")
@click.option("--prompt-tokens", default=226, show_default=True, help="Tokens of a prompt that it sees.")
@json_option
def import_model(
    source: Path,
    base: Path | None,
    variant: str | None,
    output: Path | None,
    precision: str | None,
    width: int,
    height: int,
    prompt_tokens: int,
    as_json: bool,
) -> None:
    """Make a model of a released LayerFlow checkpoint.

    PATH is mp_rank_00_model_states.pt or the folder that holds it. Text encoder, tokenizer and VAE come from the folder
    of CogVideoX-2B, as diffusers lays it out or as its authors do.
    """
    import torch

    from layerflow.models.importer import find_imported_base, import_checkpoint
    from layerflow.models.released import Grid

    with stop_on_signal() as stop, progress() as show:
        stop.keep_work()  # so that an unfinished folder is taken away
        model = import_checkpoint(
            source,
            base or find_imported_base(),
            target=output,
            variant=variant,
            grid=Grid(height=height, width=width, prompt_tokens=prompt_tokens),
            precision=None if precision is None else getattr(torch, precision),
            on_event=show,
        )
    if as_json:
        print_json({"name": model.manifest.name, "path": model.path, "sha256": model.sha256})
    else:
        click.echo(f"{model.manifest.name}: {model.path}")
