"""`layerflow decompose`."""

from __future__ import annotations

from typing import Any

import click

from layerflow.cli.options import shot_options
from layerflow.cli.shot import render_shot


@click.command()
@click.argument("plate", metavar="PLATE")
@shot_options
def decompose(**options: Any) -> None:
    """Take a plate apart into foreground and clean background.

    PLATE is a sequence (dog.####.exr, dog.%04d.exr), a folder, one file or a movie.
    """
    render_shot("decompose", **options)
