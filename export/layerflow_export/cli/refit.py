"""`layerflow-export refit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from layerflow.cli.options import json_option
from layerflow.cli.report import print_json
from layerflow.cli.stop import stop_on_signal
from layerflow_export.cli.build import describe
from layerflow_export.cli.extras import needing, new_folder

if TYPE_CHECKING:
    from layerflow_export.refit import Refitted
    from layerflow_export.refit_engine import RefittedEngine


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, metavar="DIR", type=click.Path(path_type=Path), help="Folder to make.")
@click.option("--lora", multiple=True, metavar="FILE[:WEIGHT]", help="A LoRA to merge into the model; may repeat.")
@click.option("--motion", type=float, default=0.0, show_default=True, help="Scale of the model's Motion LoRA.")
@click.option("--model", help="The model that SOURCE was exported from.  [the one with its hash]")
@json_option
def refit(source: Path, output: Path, lora: tuple[str, ...], motion: float, model: str | None, as_json: bool) -> None:
    """Make SOURCE, a folder that onnx made or an engine, again with these LoRAs and no others."""
    with needing("export"):
        from layerflow_export.refit import refit_graph
        from layerflow_export.refit_engine import refit_engine
    new_folder(output)
    with stop_on_signal() as stop:
        stop.keep_work()  # so that unfinished files are taken away
        if source.suffix == ".engine":
            _report_engine(refit_engine(source, output, lora=lora, motion=motion, model=model), as_json)
        else:
            _report_graph(refit_graph(source, output, lora=lora, motion=motion, model=model), output, as_json)


def _report_graph(graph: Refitted, folder: Path, as_json: bool) -> None:
    from layerflow_export.manifest import GRAPH

    path, num_changed = folder / GRAPH, graph.num_changed
    if as_json:
        print_json({"path": path, "way": "merged", "content": graph.manifest.content, "changed": num_changed})
    else:
        click.echo(f"{path}: {num_changed} of {len(graph.manifest.weights)} weights changed")


def _report_engine(refitted: RefittedEngine, as_json: bool) -> None:
    engine, num_changed = refitted.engine, refitted.graph.num_changed
    if as_json:
        print_json({"path": engine.path, "way": refitted.way, "changed": num_changed, **engine.report.to_dict()})
    else:
        click.echo(f"{num_changed} of {len(refitted.graph.manifest.weights)} weights changed, engine {refitted.way}")
        describe(engine)
