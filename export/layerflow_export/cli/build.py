"""`layerflow-export build`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.filesize import decimal

from layerflow.cli.options import json_option
from layerflow.cli.report import print_json
from layerflow.cli.stop import stop_on_signal

if TYPE_CHECKING:
    from layerflow_export.trt.build import Engine


@click.command()
@click.argument("source")
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder of engines; the cache folder unless given, where the backend tensorrt finds them.",
)
@click.option(
    "--profile",
    multiple=True,
    metavar="NAME=MIN/OPT/MAX",
    help="Range of one open dimension of the graph; may repeat. A model's own sizes go without saying.",
)
@click.option(
    "--precision",
    type=click.Choice(["bf16", "fp16", "fp8"]),
    help="Number type; bf16 unless SOURCE is a graph and has one. fp8 is bf16 with the big linear layers in FP8.",
)
@click.option(
    "--target",
    "targets",
    metavar="GPUS",
    default="",
    help="GPUs the engine is for: sm86,sm89,sm120 and others, or current for the one that is here.",
)
@click.option("--lora", multiple=True, metavar="FILE[:WEIGHT]", help="A LoRA to merge into a model; may repeat.")
@click.option("--motion", type=float, default=0.0, show_default=True, help="Scale of a model's Motion LoRA.")
@click.option("--refittable", is_flag=True, help="Let refit replace the engine's weights, on a GPU; only with -o.")
@json_option
def build(
    source: str,
    output: Path | None,
    profile: tuple[str, ...],
    precision: str | None,
    targets: str,
    lora: tuple[str, ...],
    motion: float,
    refittable: bool,
    as_json: bool,
) -> None:
    """Build a TensorRT engine of SOURCE: a model, a folder that onnx made, or a file. One that is current is kept."""
    from layerflow.errors import RequestError
    from layerflow_export.cli.extras import needing
    from layerflow_export.trt.build import build_engine
    from layerflow_export.trt.profile import parse_profile
    from layerflow_export.trt.source import Merge, open_source

    if refittable and output is None:
        raise RequestError("an engine in the cache folder is that of its weights and no others; pass -o DIR too")
    ranges = parse_profile(profile)
    merge = Merge(lora=lora, motion=motion)
    named = tuple(filter(None, targets.split(",")))
    with stop_on_signal() as stop:
        stop.keep_work()  # so that unfinished files are taken away
        if output is None:
            with needing("export"):
                from layerflow_export.trt.engine_cache import build_source
            engine = build_source(source, precision=precision, profile=ranges, targets=named, merge=merge)
        else:
            opened = open_source(source, folder=output, precision=precision, merge=merge)
            engine = build_engine(
                opened.graph,
                output,
                profile=opened.profile | ranges,
                targets=named,
                name=opened.name,
                model_sha256=opened.model_sha256,
                refittable=refittable,
            )
    if as_json:
        print_json({"path": engine.path, "cached": engine.cached, **engine.report.to_dict()})
    else:
        describe(engine)


def describe(engine: Engine) -> None:
    """Print what an engine is, in two lines."""
    report = engine.report
    done = "is current" if engine.cached else f"built in {report.seconds:.1f} s"
    click.echo(f"{engine.path}: {done}, {decimal(report.engine_bytes)} for {', '.join(report.targets)}")
    click.echo(
        f"attention fused in {report.attention_fused} of {report.num_blocks} blocks, "
        f"query, key and value merged in {report.qkv_merged}"
        + (f", {report.fp8_products} matrix products in FP8" if report.fp8_products else "")
    )
