"""`layerflow rerun`."""

from __future__ import annotations

from functools import partial

import click

from layerflow.cli.options import json_option, overwrite_option, resume_option
from layerflow.cli.shot import run_shot


@click.command()
@click.argument("frame", metavar="FRAME.exr")
@click.option("-o", "--output", metavar="PATTERN", help="Where the frames go.  [where they were]")
@overwrite_option
@resume_option
@json_option
def rerun(frame: str, output: str | None, overwrite: bool, resume: bool, as_json: bool) -> None:
    """Make a shot again from the header of one of its frames. On the same machine it has the same bits."""
    from layerflow import shots

    run_shot(partial(shots.rerun, frame, output=output, overwrite=overwrite, resume=resume), as_json=as_json)
