"""`layerflow rerun`."""

from __future__ import annotations

import click

from layerflow.cli.options import json_option, overwrite_option
from layerflow.cli.progress import progress
from layerflow.cli.report import report_shot


@click.command()
@click.argument("frame", metavar="FRAME.exr")
@click.option("-o", "--output", metavar="PATTERN", help="Where the frames go.  [where they were]")
@overwrite_option
@json_option
def rerun(frame: str, output: str | None, overwrite: bool, as_json: bool) -> None:
    """Make a shot again from the header of one of its frames. On the same machine it has the same bits."""
    from layerflow import shots

    with progress() as show:
        result = shots.rerun(frame, output=output, overwrite=overwrite, on_event=show)
    report_shot(result, as_json)
