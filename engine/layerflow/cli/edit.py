"""`layerflow edit`."""

from __future__ import annotations

from typing import Any

import click

from layerflow.cli.options import (
    closeup_option,
    foregrounds_option,
    keep_option,
    matte_options,
    prompts_of,
    refine_option,
    shot_options,
)
from layerflow.cli.shot import render_shot


@click.command()
@click.argument("plate", metavar="PLATE_OR_LAYERS")
@keep_option
@foregrounds_option
@click.option("--extend", type=int, metavar="FRAMES", help="Make so many frames more of a layered shot.")
@click.option("--was", default="", metavar="PROMPT", help="What the layer showed that is made anew.")
@refine_option
@closeup_option
@matte_options
@shot_options
def edit(foreground: tuple[str, ...], **options: Any) -> None:
    """Keep layers of a plate, and make the rest anew.

    --keep foreground makes a new background by its prompt, --keep background a new foreground. What is kept stays as it
    is, to the bit. A plate that is not in layers yet is taken apart first, into OUTPUT.layers beside the result.

    --extend goes on with a layered shot instead, with all its layers, into a sequence of its own.

    PLATE_OR_LAYERS is what LayerFlow wrote, or a sequence, a folder, one file or a movie.
    """
    render_shot("edit", **prompts_of(foreground), **options)
