"""The settings of a shot as Blender keeps them, in every scene."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any

import bpy

from . import host
from .asking import next_output
from .fields import DEFAULT_FOLDER, DEFAULT_MODEL, FIELDS, FURTHER, Field

ATTRIBUTE = "layerflow"  # of a scene
_TYPES: dict[str, Any] = {
    "text": bpy.props.StringProperty,
    "folder": bpy.props.StringProperty,
    "int": bpy.props.IntProperty,
    "float": bpy.props.FloatProperty,
    "bool": bpy.props.BoolProperty,
    "choice": bpy.props.EnumProperty,
}
Suggest = Callable[[str, str], list[str]]  # (name of the setting, what is typed) -> what is offered


class LayerFlowPrompt(bpy.types.PropertyGroup):
    """One more foreground."""


LayerFlowPrompt.__annotations__ = {
    "text": bpy.props.StringProperty(name="Foreground", description="What this foreground shows, in a few words")
}


class LayerFlowSettings(bpy.types.PropertyGroup):
    """The settings of a shot; their names and meanings are in `fields`."""


def prepare(suggest: Suggest) -> None:
    """Gives the settings their properties; `suggest` says what is offered while prompts and models are typed."""
    properties = {field.name: _property(field, suggest) for field in FIELDS}
    properties[FURTHER] = bpy.props.CollectionProperty(type=LayerFlowPrompt)
    LayerFlowSettings.__annotations__ = properties


def _property(field: Field, suggest: Suggest) -> Any:
    given: dict[str, Any] = {"name": field.label, "description": field.help, "default": field.default}
    if field.kind == "choice":
        given["items"] = field.choices
    elif field.kind in ("int", "float"):
        given.update(min=field.low, max=field.high)
    elif field.kind == "folder":
        given["subtype"] = "DIR_PATH"
    if field.suggests:
        given.update(search=_offering(field, suggest), search_options={"SUGGESTION"})
    return _TYPES[field.kind](**given)


def _offering(field: Field, suggest: Suggest) -> Callable[..., list[str]]:
    def offered(owner: Any, context: Any, typed: str) -> list[str]:
        return suggest(field.name, typed)

    return offered


def of_scene(scene: bpy.types.Scene) -> Any:
    """The settings that Blender keeps in a scene."""
    return getattr(scene, ATTRIBUTE)


def values_of(scene: bpy.types.Scene) -> dict[str, Any]:
    """The settings of a scene by name, what is empty filled in from the preferences; further foregrounds as a list."""
    kept = of_scene(scene)
    values: dict[str, Any] = {field.name: getattr(kept, field.name) for field in FIELDS}
    values[FURTHER] = [prompt.text for prompt in getattr(kept, FURTHER)]
    values["model"] = values["model"].strip() or default_model()
    values["folder"] = values["folder"].strip() or default_folder()
    return values


def default_model() -> str:
    """The model of shots that name none."""
    return getattr(host.preferences(), "model", "").strip() or DEFAULT_MODEL


def default_folder() -> str:
    """The folder of shots that name none."""
    return getattr(host.preferences(), "folder", "").strip() or DEFAULT_FOLDER


def output_of(values: Mapping[str, Any], name: str, taken: list[str]) -> str:
    """Where a shot called `name` is written, at its next version. ValueError where the folder is nowhere."""
    folder = host.whole_folder(values["folder"])
    return next_output(os.path.join(folder, f"{file_name(values['shot'].strip() or name)}_v001.%04d.exr"), taken)


def file_name(name: str) -> str:
    """A name for files, of that of a strip: without its ending, and nothing in it that reads as a version."""
    stem = re.sub(r"\.[A-Za-z0-9]{2,4}\Z", "", name)
    plain = re.sub(r"[^\w.-]+", "_", stem).strip("._-") or "shot"
    return re.sub(r"[_.-]+(v[0-9]+)(?![0-9A-Za-z])", r"\1", plain)


def take_over(scene: bpy.types.Scene, request: Any, lock_seed: bool) -> None:
    """Has the settings say what a request asked for, so that it can be changed and made again."""
    kept = of_scene(scene)
    for field in FIELDS:
        value = getattr(request, field.name, None)
        if value is not None and field.name not in ("first_frame", "last_frame", "guide", "lora"):
            setattr(kept, field.name, value)
    kept.steps, kept.guidance = request.steps or 0, request.guidance or 0.0
    kept.lora, kept.lock_seed = "; ".join(request.lora), lock_seed
    prompts = list(request.foregrounds)
    if prompts:
        kept.foreground = prompts[0]
    further = getattr(kept, FURTHER)
    further.clear()
    for text in prompts[1:]:
        further.add().text = text
