"""`layerflow generate`."""

from __future__ import annotations

from typing import Any

import click

from layerflow.cli.options import foreground_option, shot_options, size_options
from layerflow.cli.shot import render_shot


@click.command()
@foreground_option
@shot_options
@size_options
def generate(**options: Any) -> None:
    """Make a layered shot from prompts alone. It has foreground with alpha, background, and both blended."""
    render_shot("generate", **options)
