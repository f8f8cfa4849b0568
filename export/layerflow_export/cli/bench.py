"""`layerflow-export bench`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from layerflow.cli.options import json_option
from layerflow.cli.progress import progress
from layerflow.cli.report import print_json
from layerflow.cli.stop import stop_on_signal
from layerflow_export.cli.extras import needing

_JSON, _PLOT = "bench.json", "bench.png"


@click.command()
@click.argument("model")
@click.option("--backend", "backends", multiple=True, metavar="NAME", help="One to measure; may repeat.  [all]")
@click.option(
    "--against",
    type=click.Choice(["diffusers", "nobody"]),
    default="diffusers",
    show_default=True,
    help="The peer, measured in the same run.",
)
@click.option(
    "--task",
    type=click.Choice(["generate", "decompose", "background", "foreground"]),
    default="generate",
    show_default=True,
)
@click.option("--steps", type=click.IntRange(1, 1000), help="Sampling steps.  [the model's own]")
@click.option("--guidance", type=click.FloatRange(0, 100), help="Weight in every step.  [the model's own schedule]")
@click.option(
    "--quality",
    "qualities",
    type=click.Choice(["exact", "high", "draft"]),
    multiple=True,
    default=("exact",),
    show_default=True,
    help="How much work is left out; may repeat.",
)
@click.option(
    "--precision",
    "precisions",
    type=click.Choice(["auto", "float32", "bfloat16", "float16", "float8"]),
    multiple=True,
    default=("auto",),
    show_default=True,
    help="Number type of the network; may repeat. The first is the peer's.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Turns of each backend.")
@click.option(
    "--skip",
    type=click.Choice(["steps", "shots", "errors", "render"]),
    multiple=True,
    help="A part to leave out; may repeat.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help=f"Folder for {_JSON} and {_PLOT}.")
@json_option
def bench(
    model: str,
    backends: tuple[str, ...],
    against: str,
    task: str,
    steps: int | None,
    guidance: float | None,
    qualities: tuple[str, ...],
    precisions: tuple[str, ...],
    device: str,
    rounds: int,
    skip: tuple[str, ...],
    seed: int,
    output: Path | None,
    as_json: bool,
) -> None:
    """Time every backend on one shot of MODEL, plain diffusers beside them, and hold them against eager float32."""
    from typing import cast

    from rich.console import Console

    from layerflow.files import make_folder
    from layerflow.layout import Task
    from layerflow.wire import Event
    from layerflow_export.bench.case import Case
    from layerflow_export.bench.report import Report
    from layerflow_export.bench.rounds import PARTS, Bench, Plan, everybody
    from layerflow_export.bench.table import rich_tables

    with needing("bench"):
        from layerflow_export.bench.plot import save_plot

    peer = [against] if against == "diffusers" else []
    plan = Plan(
        case=Case(model=model, task=cast(Task, task), steps=steps, guidance=guidance, seed=seed, device=device),
        backends=(*peer, *(backends or everybody())),
        qualities=qualities,
        precisions=precisions,
        rounds=rounds,
        parts=tuple(part for part in PARTS if part not in skip),
    )

    def save(report: Report) -> None:
        if output:
            report.save(output / _JSON)

    if output:
        make_folder(output)
    with stop_on_signal() as stop, progress() as show:
        stop.keep_work()  # so that the other processes are ended
        command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
        report = Bench(plan, command, lambda text: show(Event("stage", text)), save).run()
    if output:
        save_plot(report, output / _PLOT)
    if as_json:
        print_json(report.to_dict())
    else:
        Console().print(*rich_tables(report), sep="\n")
        click.echo("* what --backend auto takes")
        for label, sentence in report.refused.items():
            click.echo(f"{label}: {sentence}")
