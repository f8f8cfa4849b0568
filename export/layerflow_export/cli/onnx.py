"""`layerflow-export onnx`."""

from __future__ import annotations

from pathlib import Path

import click

from layerflow.cli.options import json_option
from layerflow.cli.report import print_json
from layerflow.cli.stop import stop_on_signal
from layerflow_export.cli.extras import needing, new_folder


@click.command()
@click.argument("model")
@click.option("-o", "--output", required=True, metavar="DIR", type=click.Path(path_type=Path), help="Folder to make.")
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
def onnx(model: str, output: Path, precision: str, lora: tuple[str, ...], motion: float, as_json: bool) -> None:
    """Write the transformer of MODEL as an ONNX graph for any batch, length, picture size and text length."""
    from layerflow.models.network import load_transformer
    from layerflow.models.places import DTYPES
    from layerflow.models.shelf import find_model
    from layerflow_export.manifest import GRAPH, Origin

    with needing("export"):
        from layerflow_export.onnx_export import export_onnx
    new_folder(output)
    folder = find_model(model)
    origin = Origin.of(folder, lora=lora, motion=motion)
    folder.check("transformer", "motion")
    with stop_on_signal() as stop:
        stop.keep_work()  # so that an unfinished folder is taken away
        with folder.loading():
            transformer = load_transformer(folder, dtype=DTYPES[precision], lora=lora, motion=motion)
        manifest = export_onnx(transformer, output, origin=origin)
    if as_json:
        print_json({"path": output / GRAPH, "content": manifest.content, "opset": manifest.opset})
    else:
        click.echo(f"{output / GRAPH}: {precision}, opset {manifest.opset}, {len(manifest.weights)} weights")
