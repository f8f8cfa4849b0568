"""`layerflow-export refit`."""

from __future__ import annotations

from pathlib import Path

import click

from layerflow.cli.options import json_option
from layerflow.cli.report import print_json
from layerflow.cli.stop import stop_on_signal
from layerflow_export.cli.extras import needing, new_folder


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, metavar="DIR", type=click.Path(path_type=Path), help="Folder to make.")
@click.option("--lora", multiple=True, metavar="FILE[:WEIGHT]", help="A LoRA to merge into the model; may repeat.")
@click.option("--motion", type=float, default=0.0, show_default=True, help="Scale of the model's Motion LoRA.")
@click.option("--model", help="The model that SOURCE was exported from.  [the one with its hash]")
@json_option
def refit(source: Path, output: Path, lora: tuple[str, ...], motion: float, model: str | None, as_json: bool) -> None:
    """Make SOURCE, a folder that onnx made or an engine, again with these LoRAs and no others."""
    from layerflow_export.manifest import GRAPH

    with needing("export"):
        from layerflow_export.refit import refit_graph
    new_folder(output)
    with stop_on_signal() as stop:
        stop.keep_work()  # so that an unfinished folder is taken away
        refitted = refit_graph(source, output, lora=lora, motion=motion, model=model)
    path, num_changed = output / GRAPH, refitted.num_changed
    if as_json:
        print_json({"path": path, "content": refitted.manifest.content, "changed": num_changed})
    else:
        click.echo(f"{path}: {num_changed} of {len(refitted.manifest.weights)} weights changed")
