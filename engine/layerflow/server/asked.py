"""A request as the API's document describes it: the wire's own fields and rules, put into words."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

from layerflow.wire import Request
from layerflow.wire.request import CHOICES, RANGES

_TYPES = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
}

WORDS = {
    "task": "What to make: a picture from prompts, the layers of a plate, one layer to go with the plate, or one anew.",
    "plate": "Sequence pattern, folder, file or movie, as an absolute path; none when generating.",
    "foreground": "What the foreground shows. Needed to generate it.",
    "background": "What the background shows. Needed to generate it.",
    "blended": "What the whole picture shows.",
    "foregrounds": "What each of several foregrounds shows, front to back, instead of foreground.",
    "guide": "A matte of the foreground: an absolute path as the plate's, with :CHANNEL behind it or not.",
    "guide_kind": "What the guide says: a soft outline, a trimap, or only where there is no foreground.",
    "holdout": "A matte of what must not become foreground, as an absolute path.",
    "extend": "So many frames more of the shot that plate is, when editing.",
    "was": "What the layer showed that an edit makes anew; it helps to take a plate apart.",
    "keep": "Layers that stay as they are; empty: all that the new one goes with. An edit needs one.",
    "model": "A model's name or folder; /v1/models lists those there are.",
    "first_frame": "First frame, in the plate's own numbering; null: its first.",
    "last_frame": "Last frame, inclusive; null: the plate's last.",
    "seed": "Another seed gives another result.",
    "steps": "Sampling steps; null: the model's own.",
    "guidance": "How closely to follow the prompts; null: the model's own schedule.",
    "sampler": "Sampling method; null: the model's own.",
    "quality": "How much work is left out: none, little or much.",
    "faithful": "Do as the released code does, its quirks included.",
    "colorspace": "Colour space of the plate; null: as its files say.",
    "output_colorspace": "Scene-linear space of the EXR.",
    "alpha": "How colour and alpha are stored.",
    "per_layer": "Also write one EXR sequence per layer.",
    "preview": "Also write a movie and a contact sheet.",
    "fit": "How a plate of another shape meets the model's.",
    "closeup": "Whether the part of the plate where the foreground is is looked at again, closer, when decomposing.",
    "refine": "How a matte gets the detail of its plate, when decomposing.",
    "fps": "Frames per second; null: the plate's, or the model's.",
    "width": "Pixels, when generating; null: the model's own.",
    "height": "Pixels, when generating; null: the model's own.",
    "num_frames": "How many, when generating; null: the model's own.",
    "output": "Where frames go, as an absolute path with one %04d or #### in the file name and .exr behind it.",
    "memory": "Memory plan: how much is on the device at once.",
    "device": "auto, or one that /v1/devices lists.",
    "precision": "Number type of the network and of a video VAE.",
    "text_precision": "Number type of the text encoder.",
    "backend": "What runs the network.",
    "lora": "LoRAs to merge into the model: files or folders, each with :WEIGHT behind it or not.",
    "motion": "Scale of the model's Motion LoRA: 0 is a moving picture and 1 a still.",
}

EXAMPLE = {
    "task": "decompose",
    "plate": "/shots/dog/plate.%04d.exr",
    "foreground": "a brown dog",
    "output": "/shots/dog/layers.%04d.exr",
}


def request_schema() -> dict[str, Any]:
    """The JSON schema of a request that a client may send."""
    return {
        "type": "object",
        "title": "Request",
        "description": "One shot to make. Fields that are left out keep their defaults.",
        "properties": {each.name: _schema(each.name, str(each.type), each.default) for each in fields(Request)},
        "required": ["task"],
        "additionalProperties": False,
        "examples": [EXAMPLE],
    }


def _schema(name: str, annotation: str, default: Any) -> dict[str, Any]:
    optional = annotation.startswith("Optional[")
    kind = annotation.removeprefix("Optional[").rstrip("]") if optional else annotation
    schema: dict[str, Any] = {"description": WORDS[name]}
    if kind.startswith("Tuple["):
        schema |= {"type": "array", "items": {"type": "string"}}
    else:
        schema["type"] = [_TYPES[kind], "null"] if optional else _TYPES[kind]
    if name in CHOICES:
        schema["enum"] = [*CHOICES[name], None] if optional else list(CHOICES[name])
    if name in RANGES:
        schema["minimum"], schema["maximum"] = RANGES[name]
    if default is not MISSING:
        schema["default"] = list(default) if isinstance(default, tuple) else default
    return schema
