"""A take as a script that Blender runs: a new scene with a strip for every layer, placed as the project has them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from layerflow_desktop.models.document import LayerState
from layerflow_desktop.models.exports import comp_layers
from layerflow_desktop.models.layer_stack import BLENDED

_SPACES = (  # Blender's name, and how OCIO configs call it
    ("ACEScg", re.compile(r"acescg|lin_ap1(_scene)?|aces - acescg", re.IGNORECASE)),
    (
        "Linear Rec.709",
        re.compile(r"lin(ear)?[ _]rec\.?709([ _].*)?|utility - linear - (srgb|rec\.709)", re.IGNORECASE),
    ),
    ("ACES2065-1", re.compile(r"aces2065-1|lin_ap0(_scene)?|aces - aces2065-1", re.IGNORECASE)),
)


@dataclass(frozen=True)
class BlenderShot:
    """What goes to Blender."""

    name: str
    files: Mapping[str, Sequence[str]]  # of every layer, straight EXR; in the order of the frames
    layers: tuple[LayerState, ...]  # from front to back
    first: int
    width: int
    height: int
    fps: float
    colorspace: str  # of the files
    pixel_aspect: float = 1.0


def blender_script(shot: BlenderShot) -> str:
    """The Python that Blender runs, 4.5 and later. ValueError where it does not know the colour space.

    Strips have straight alpha and are blended in linear light; the view stays the file's own.
    """
    return f"{_HEAD}SHOT = json.loads({json.dumps(json.dumps(_values(shot)))})\n{_BODY}"


def _values(shot: BlenderShot) -> dict[str, Any]:
    rate, base = _rate(shot.fps)
    return {
        "name": shot.name,
        "first": shot.first,
        "last": shot.first + len(next(iter(shot.files.values()))) - 1,
        "size": [shot.width, shot.height],
        "aspect": shot.pixel_aspect,
        "fps": rate,
        "fps_base": base,
        "space": _space(shot.colorspace),
        "strips": [_strip(shot, state) for state in _back_to_front(shot)],
    }


def _back_to_front(shot: BlenderShot) -> list[LayerState]:
    """The layers that have files; the blended picture on top, hidden, for reference."""
    own = [state for state in reversed(comp_layers(shot.layers)) if state.name in shot.files]
    return own + ([LayerState(name=BLENDED, visible=False)] if BLENDED in shot.files else [])


def _strip(shot: BlenderShot, state: LayerState) -> dict[str, Any]:
    return {
        "name": f"{shot.name} {state.name}",
        "files": list(shot.files[state.name]),
        "mute": not state.visible,
        "opacity": state.opacity,
        "offset": [state.offset_x, -state.offset_y or 0.0],  # in Blender y goes up
        "scale": state.scale,
    }


def _rate(fps: float) -> tuple[int, float]:
    """A rate as Blender has it, a whole number and what it is divided by."""
    whole = max(1, round(fps))
    if abs(fps - whole * 1000 / 1001) < 5e-3 and abs(fps - whole) > 1e-3:
        return whole, 1.001
    return whole, whole / fps


def _space(colorspace: str) -> str:
    for name, known in _SPACES:
        if known.fullmatch(colorspace.strip()):
            return name
    raise ValueError(f"Blender does not know the colour space {colorspace}; make the layers in ACEScg or lin_rec709")


_HEAD = '''"""Written by LayerFlow: lays the layers of a take into a new scene."""

import json
import os

import bpy

'''

_BODY = """
LINEAR = ("Linear Rec.709", "ACEScg", "ACES2065-1")


def new_scene():
    scene = bpy.data.scenes.new(SHOT["name"])
    render = scene.render
    render.resolution_x, render.resolution_y = SHOT["size"]
    render.resolution_percentage = 100
    aspect = SHOT["aspect"]
    render.pixel_aspect_x, render.pixel_aspect_y = max(1.0, aspect), max(1.0, 1 / aspect)
    render.fps, render.fps_base = SHOT["fps"], SHOT["fps_base"]
    scene.frame_start, scene.frame_end = SHOT["first"], SHOT["last"]
    scene.frame_set(SHOT["first"])
    working = getattr(getattr(bpy.data, "colorspace", None), "working_space", LINEAR[0])
    scene.sequencer_colorspace_settings.name = working if working in LINEAR else LINEAR[0]
    return scene


def add_strip(strips, channel, told):
    files = told["files"]
    strip = strips.new_image(told["name"], files[0], channel, SHOT["first"], fit_method="ORIGINAL")
    for path in files[1:]:
        strip.elements.append(os.path.basename(path))
    strip.directory = os.path.dirname(files[0]) + os.sep
    strip.frame_final_end = SHOT["last"] + 1
    strip.colorspace_settings.name = SHOT["space"]
    strip.alpha_mode, strip.blend_type = "STRAIGHT", "ALPHA_OVER"
    strip.mute, strip.blend_alpha = told["mute"], told["opacity"]
    transform = strip.transform
    transform.offset_x, transform.offset_y = told["offset"]
    transform.scale_x = transform.scale_y = told["scale"]
    transform.filter = "BILINEAR"


def show(scene):
    for window in bpy.context.window_manager.windows:
        window.scene = scene
        for workspace in bpy.data.workspaces:
            if workspace.name == "Video Editing":
                window.workspace = workspace
            if hasattr(workspace, "sequencer_scene"):
                workspace.sequencer_scene = scene


scene = new_scene()
editor = scene.sequence_editor_create()
for channel, told in enumerate(SHOT["strips"], start=1):
    add_strip(editor.strips, channel, told)
show(scene)
"""
