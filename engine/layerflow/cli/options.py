"""The options the verbs share. Each option's name is the Request field it sets."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace frames that are already there.")
resume_option = click.option("--resume", is_flag=True, help="Go on where a stopped run left off.")
output_option = click.option(
    "-o", "--output", default="", metavar="PATTERN", help="Where frames go, with one %04d or ####.  [out/VERB.%04d.exr]"
)
comp_option = click.option(
    "--comp", metavar="FILE", help="A JSON file that says which layers are shown, where, and how much.  [as they are]"
)
model_option = click.option("--model", default="mini", show_default=True, help="A model's name or folder.")

foreground_option = click.option("--foreground", default="", metavar="PROMPT", help="What the foreground shows.")
foregrounds_option = click.option(
    "--foreground", multiple=True, metavar="PROMPT", help="What the foreground shows; may repeat, front to back."
)

closeup_option = click.option(
    "--closeup", is_flag=True, help="Look again, closer, at the part of the plate where the foreground is."
)
refine_option = click.option(
    "--refine",
    type=click.Choice(["off", "fast", "best"]),
    default="fast",
    show_default=True,
    help="How the matte gets the detail of the plate.",
)

_MATTES = (
    click.option("--guide", metavar="MATTE[:CHANNEL]", help="A matte of the foreground, to go by."),
    click.option(
        "--guide-kind",
        type=click.Choice(["roto", "trimap", "garbage"]),
        default="roto",
        show_default=True,
        help="What the guide says, and how far it is believed.",
    ),
    click.option("--holdout", metavar="MATTE[:CHANNEL]", help="A matte of what must not become foreground."),
)
keep_option = click.option(
    "--keep",
    multiple=True,
    metavar="LAYER",
    help="A layer of a layered plate that stays as it is; may repeat.  [all that the new one goes with]",
)

_PROMPTS = (
    click.option("--background", default="", metavar="PROMPT", help="What the background shows."),
    click.option("--blended", default="", metavar="PROMPT", help="What the whole picture shows."),
)
_SHOT = (
    model_option,
    click.option("--frames", metavar="FIRST-LAST", help="Frames to make, both ends included, like 1001-1016."),
    click.option("--seed", type=int, default=0, show_default=True, help="Another seed gives another result."),
    click.option("--steps", type=int, help="Sampling steps.  [the model's own]"),
    click.option("--guidance", type=float, help="How closely to follow the prompts.  [the model's own schedule]"),
    click.option("--sampler", type=click.Choice(["sde", "ode"]), help="Sampling method.  [the model's own]"),
    click.option(
        "--quality",
        type=click.Choice(["exact", "high", "draft"]),
        default="exact",
        show_default=True,
        help="How much work is left out: none, little or much.",
    ),
    click.option("--faithful", is_flag=True, help="Do as the released code does, its quirks included."),
    click.option("--colorspace", help="Colour space of the plate.  [as its files say]"),
    click.option("--output-colorspace", default="ACEScg", show_default=True, help="Scene-linear space of the EXR."),
    click.option("--alpha", type=click.Choice(["straight", "premultiplied"]), default="straight", show_default=True),
    click.option("--per-layer", is_flag=True, help="Also write one EXR sequence per layer."),
    click.option("--preview", is_flag=True, help="Also write a movie and a contact sheet."),
    click.option(
        "--fit",
        type=click.Choice(["bucket", "pad", "crop"]),
        default="bucket",
        show_default=True,
        help="How a plate of another shape meets the model's.",
    ),
    click.option("--fps", type=float, help="Frames per second.  [the plate's]"),
    click.option(
        "--memory",
        type=click.Choice(["auto", "full", "balanced", "low"]),
        default="auto",
        show_default=True,
        help="Memory plan: how much is on the device at once.",
    ),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."),
    click.option(
        "--precision",
        type=click.Choice(["auto", "float32", "bfloat16", "float16", "float8"]),
        default="auto",
        show_default=True,
        help="Number type of the network and of a video VAE.",
    ),
    click.option(
        "--text-precision",
        type=click.Choice(["auto", "float32", "bfloat16", "int8"]),
        default="auto",
        show_default=True,
        help="Number type of the text encoder.",
    ),
    click.option("--backend", default="auto", show_default=True, help="What runs the network; doctor lists them."),
    click.option("--lora", multiple=True, metavar="FILE[:WEIGHT]", help="A LoRA to merge into the model; may repeat."),
    click.option(
        "--motion",
        type=float,
        default=0.0,
        show_default=True,
        help="Scale of the model's Motion LoRA: 0 is a moving picture, as released, and 1 a still.",
    ),
    output_option,
    overwrite_option,
    resume_option,
    click.option("--queue", is_flag=True, help="Leave the shot to the server, and return at once."),
    json_option,
)
_SIZE = (
    click.option("--width", type=int, help="Pixels.  [the model's own]"),
    click.option("--height", type=int, help="Pixels.  [the model's own]"),
)


def prompts_of(foreground: tuple[str, ...]) -> dict[str, Any]:
    """The request's fields for one foreground, or for several."""
    return {"foregrounds": foreground} if len(foreground) > 1 else {"foreground": "".join(foreground)}


def shot_options(command: Command) -> Command:
    """`command` with every option of a verb that renders a shot."""
    return _with(command, (*_PROMPTS, *_SHOT))


def matte_options(command: Command) -> Command:
    """`command` with the mattes that it goes by."""
    return _with(command, _MATTES)


def size_options(command: Command) -> Command:
    """`command` with the picture size, for the verb that has no plate to take it from."""
    return _with(command, _SIZE)


def _with(command: Command, options: tuple[Callable[[Command], Command], ...]) -> Command:
    return reduce(lambda decorated, option: option(decorated), reversed(options), command)
