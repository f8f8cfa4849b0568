"""`layerflow generate`."""

from __future__ import annotations

from typing import Any

import click

from layerflow.cli.options import foregrounds_option, prompts_of, shot_options, size_options
from layerflow.cli.shot import render_shot


@click.command()
@foregrounds_option
@shot_options
@size_options
def generate(foreground: tuple[str, ...], **options: Any) -> None:
    """Make a layered shot from prompts alone. It has foreground with alpha, background, and both blended.

    Give --foreground twice, what is in front first, and there are two foregrounds, where the model has learned that.
    """
    render_shot("generate", **prompts_of(foreground), **options)
