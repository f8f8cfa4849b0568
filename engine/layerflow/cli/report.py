"""What a verb prints when it is done: a few lines for people, or one JSON object for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from layerflow.shots import ShotResult


def print_json(values: Mapping[str, Any]) -> None:
    """Print one JSON object as one line of stdout. Paths become text."""
    click.echo(json.dumps(values, default=str))


def report_shot(result: ShotResult, as_json: bool) -> None:
    """Print where a shot's files are, and what made them."""
    if as_json:
        print_json(_shot_values(result))
        return
    click.echo(f"layers: {span(result.frames)}")
    for name, paths in result.per_layer.items():
        click.echo(f"{name}: {span(paths)}")
    if result.preview_movie:
        click.echo(f"preview: {result.preview_movie}")
    if result.contact_sheet:
        click.echo(f"contact sheet: {result.contact_sheet}")
    click.echo(f"{result.seconds:.1f} s with model {result.model} on {result.backend}, seed {result.seed}")


def _shot_values(result: ShotResult) -> dict[str, Any]:
    return {
        "frames": result.frames,
        "per_layer": dict(result.per_layer),
        "preview_movie": result.preview_movie,
        "contact_sheet": result.contact_sheet,
        "seconds": result.seconds,
        "warnings": result.warnings,
        "seed": result.seed,
        "model": result.model,
        "backend": result.backend,
    }


def span(paths: Sequence[Path]) -> str:
    """A sequence in a few words: its first file, its last name and how many there are."""
    if len(paths) < 2:
        return ", ".join(map(str, paths))
    return f"{paths[0]} to {paths[-1].name} ({len(paths)} frames)"
