"""Options of `layerflow data`."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import click

from layerflow.cli.options import json_option

Command = Callable[..., Any]
FOLDER = click.Path(file_okay=False, path_type=Path)
PLACE = click.Path(path_type=Path)

_TAKING = (
    click.option("-o", "--output", type=FOLDER, required=True, help="The dataset folder; a stopped run goes on there."),
    click.option("--licence", default="", help="Licence of what states none. Without one an item is refused."),
    click.option("--source", default="", help="Where the pictures come from.  [their folder's name]"),
    click.option("--captions", type=PLACE, help="CSV or JSON of captions.  [captions.csv or .json beside them]"),
    click.option("--hold-out", type=click.FloatRange(0, 0.9), default=0.1, show_default=True, help="Share held out."),
    click.option("--max-side", type=click.IntRange(1), default=768, show_default=True, help="Pixels to keep."),
    click.option("--max-frames", type=click.IntRange(1), default=120, show_default=True, help="Frames to keep."),
    click.option("--fps", type=click.FloatRange(0, 1000, min_open=True), help="Frames per second to keep.  [all]"),
    click.option("--stills", is_flag=True, help="Take every picture as a still, numbered ones too."),
    click.option("--skip-broken", is_flag=True, help="Leave broken files out instead of stopping at them."),
)
_WRITING = (
    click.option("--write", "num_written", type=click.IntRange(0), default=0, help="Write so many clips, to look at."),
    click.option("--write-as", type=click.Choice(["sheet", "exr"]), default="sheet", show_default=True),
    click.option("--write-size", default="360x240", show_default=True, help="Their size, WIDTHxHEIGHT."),
    click.option("--write-frames", type=click.IntRange(1), default=8, show_default=True, help="Their length."),
    click.option("--foregrounds-per-clip", type=click.IntRange(1, 2), default=1, show_default=True),
    click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Of what is written."),
    json_option,
)
_PASTING = (
    click.option("--linear/--no-linear", default=True, show_default=True, help="Add light in scene-linear, or sRGB."),
    click.option(
        "--shadows",
        type=click.Choice(["background", "foreground", "none"]),
        default="background",
        show_default=True,
        help="Layer that shadows belong to: what they fall on, or the foreground as soft alpha.",
    ),
    click.option("--min-scale", type=click.FloatRange(0, min_open=True), default=0.35, show_default=True),
    click.option("--max-scale", type=click.FloatRange(0, min_open=True), default=1.0, show_default=True),
    click.option("--max-drift", type=click.FloatRange(0), default=0.5, show_default=True, help="Of the height."),
    click.option("--max-turn", type=click.FloatRange(0), default=0.2, show_default=True, help="Radians."),
    click.option("--bounce", type=click.FloatRange(0, 1), default=0.2, show_default=True, help="Share that hops."),
    click.option("--still", type=click.FloatRange(0, 1), default=0.25, show_default=True, help="Share that stays."),
    click.option("--shutter", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="0: no motion blur."),
    click.option("--defocus", type=click.FloatRange(0, 1), default=0.25, show_default=True, help="Share unsharp."),
    click.option("--colour", type=click.FloatRange(0, 0.5), default=0.1, show_default=True, help="Change of gain."),
    click.option("--exposure", type=click.FloatRange(0, 4), default=0.3, show_default=True, help="Stops over a clip."),
)
_MODELS = (
    click.option("--segmenter", help="SAM 2 weights, a name or a folder.  [OpenCV]"),
    click.option("--detector", help="Grounding DINO or Florence-2 weights, which tell SAM 2 where to look."),
    click.option("--find", multiple=True, help="A thing for Grounding DINO to look for; may repeat."),
    click.option("--captioner", help="Qwen2.5-VL weights.  [file names and tables]"),
    click.option("--device", default="cpu", show_default=True, help="cpu, cuda or cuda:N."),
    click.option("--local-files-only", is_flag=True, help="Never ask the hub."),
)


def taking_options(command: Command) -> Command:
    """`command` with how sources are taken in, and where to."""
    return _with(command, _TAKING)


def pasting_options(command: Command) -> Command:
    """`command` with how foregrounds are laid over backgrounds."""
    return _with(command, _PASTING)


def model_options(command: Command) -> Command:
    """`command` with the models that take a video apart."""
    return _with(command, _MODELS)


def writing_options(command: Command) -> Command:
    """`command` with what is written out to look at, and how results are said."""
    return _with(command, _WRITING)


def _with(command: Command, options: tuple[Callable[[Command], Command], ...]) -> Command:
    return reduce(lambda decorated, option: option(decorated), reversed(options), command)
