"""`layerflow-export onnx`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from layerflow.cli.options import json_option
from layerflow.cli.report import print_json
from layerflow.cli.stop import stop_on_signal
from layerflow_export.cli.extras import needing, new_folder

if TYPE_CHECKING:
    from layerflow_export.manifest import GraphManifest
    from layerflow_export.parts import PartManifest


@click.command()
@click.argument("model")
@click.option("-o", "--output", required=True, metavar="DIR", type=click.Path(path_type=Path), help="Folder to make.")
@click.option(
    "--part",
    type=click.Choice(["transformer", "decoder", "text", "all"]),
    default="transformer",
    show_default=True,
    help="What of the model: the codec's decoder, the text encoder, or all three in a folder each.",
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "float16", "bfloat16"]),
    default="float32",
    show_default=True,
    help="Number type of the graph.",
)
@click.option("--lora", multiple=True, metavar="FILE[:WEIGHT]", help="A LoRA to merge into the model; may repeat.")
@click.option("--motion", type=float, default=0.0, show_default=True, help="Scale of the model's Motion LoRA.")
@json_option
def onnx(
    model: str, output: Path, part: Any, precision: str, lora: tuple[str, ...], motion: float, as_json: bool
) -> None:
    """Write MODEL as ONNX graphs for any batch, length, picture size and text length."""
    from layerflow.models.shelf import find_model

    with needing("export"):
        from layerflow_export.model_export import Choice, check_choice, export_all, export_one
    choice = Choice(precision=precision, lora=lora, motion=motion)
    check_choice(part, choice)
    new_folder(output)
    folder = find_model(model)
    with stop_on_signal() as stop:
        stop.keep_work()  # so that an unfinished folder is taken away
        if part == "all":
            made = {output / name: manifest for name, manifest in export_all(folder, output, choice).items()}
        else:
            made = {output: export_one(folder, part, output, choice)}
    graphs = [_values(path, manifest) for path, manifest in made.items()]
    if as_json:
        print_json(graphs[0] if len(graphs) == 1 else {"path": output, "parts": graphs})
    else:
        for values in graphs:
            click.echo(f"{values['path']}: {values['precision']}, opset {values['opset']}")


def _values(folder: Path, manifest: GraphManifest | PartManifest) -> dict[str, Any]:
    from layerflow_export.manifest import GRAPH, GraphManifest

    values = {"path": str(folder / GRAPH), "precision": manifest.precision, "opset": manifest.opset}
    return values | ({"content": manifest.content} if isinstance(manifest, GraphManifest) else {"part": manifest.part})
