"""`layerflow decompose`."""

from __future__ import annotations

from typing import Any

import click

from layerflow.cli.options import (
    closeup_option,
    foregrounds_option,
    matte_options,
    prompts_of,
    refine_option,
    shot_options,
)
from layerflow.cli.shot import render_shot


@click.command()
@click.argument("plate", metavar="PLATE")
@foregrounds_option
@refine_option
@matte_options
@closeup_option
@shot_options
def decompose(foreground: tuple[str, ...], **options: Any) -> None:
    """Take a plate apart into foreground and clean background.

    Together the layers are the plate again, exactly. Give --foreground several times, what is in front first, and each
    becomes a layer of its own.

    PLATE is a sequence (dog.####.exr, dog.%04d.exr), a folder, one file or a movie.
    """
    render_shot("decompose", **prompts_of(foreground), **options)
