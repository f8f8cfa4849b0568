"""`layerflow background`."""

from __future__ import annotations

from typing import Any

import click

from layerflow.cli.options import foreground_option, keep_option, shot_options
from layerflow.cli.shot import render_shot


@click.command()
@click.argument("plate", metavar="FOREGROUND_PLATE")
@foreground_option
@keep_option
@shot_options
def background(**options: Any) -> None:
    """Make a background for a foreground you have.

    FOREGROUND_PLATE is a sequence, a folder, one file or a movie, with alpha where the model wants it.
    """
    render_shot("background", **options)
