"""`layerflow foreground`."""

from __future__ import annotations

from typing import Any

import click

from layerflow.cli.options import foreground_option, keep_option, shot_options
from layerflow.cli.shot import render_shot


@click.command()
@click.argument("plate", metavar="BACKGROUND_PLATE")
@foreground_option
@keep_option
@shot_options
def foreground(**options: Any) -> None:
    """Make a foreground for a background you have.

    BACKGROUND_PLATE is a sequence, a folder, one file or a movie.
    """
    render_shot("foreground", **options)
