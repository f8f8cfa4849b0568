"""The add-on's preferences: where the engine is, and what new shots start from."""

from __future__ import annotations

import bpy

from . import host
from .fields import DEFAULT_FOLDER, DEFAULT_MODEL
from .shots import the_shots


class LayerFlowPreferences(bpy.types.AddonPreferences):
    """Of this user, over all files."""

    bl_idname = host.PACKAGE

    def draw(self, context: bpy.types.Context) -> None:
        """Every preference, and what was last heard of the engine."""
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "model")
        layout.prop(self, "folder")
        layout.prop(self, "linear_light")
        layout.prop(self, "server")
        layout.operator("layerflow.check_engine")
        if the_shots().engine:
            layout.label(text=the_shots().engine, icon="INFO")


LayerFlowPreferences.__annotations__ = {
    "model": bpy.props.StringProperty(
        name="Model", description="The model of shots that name none: a name or a folder", default=DEFAULT_MODEL
    ),
    "folder": bpy.props.StringProperty(
        name="Folder",
        description="Where layers are written for shots that name no folder; // is the folder of the .blend file",
        default=DEFAULT_FOLDER,
        subtype="DIR_PATH",
    ),
    "linear_light": bpy.props.BoolProperty(
        name="Blend in Linear Light",
        description="Have the Sequencer blend in linear light, which layers are made for, when they come in",
        default=True,
    ),
    "server": bpy.props.StringProperty(
        name="Server",
        description="The runtime folder of the engine to ask; empty is this user's own, started when none runs",
        subtype="DIR_PATH",
    ),
}

CLASSES = (LayerFlowPreferences,)
