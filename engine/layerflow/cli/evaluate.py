"""`layerflow evaluate`."""

from __future__ import annotations

import click

from layerflow.cli.options import json_option, model_option
from layerflow.cli.progress import progress
from layerflow.cli.report import print_json


@click.command()
@model_option
@click.option("--clips", type=click.IntRange(1), default=64, show_default=True, help="How many held-out clips.")
@click.option("--steps", type=click.IntRange(1, 1000), help="Sampling steps.  [the model's own]")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True)
@json_option
def evaluate(model: str, clips: int, steps: int | None, seed: int, as_json: bool) -> None:
    """Score a model on held-out clips whose layers are known."""
    from layerflow.evaluate.score import evaluate_model

    with progress() as show:
        scores = evaluate_model(model, num_clips=clips, steps=steps, seed=seed, on_event=show)
    if as_json:
        print_json(scores)
        return
    for name, score in scores.items():
        click.echo(f"{name}: {score:.3f}")
