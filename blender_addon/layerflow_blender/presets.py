"""Settings under a name, as Blender keeps presets: over all files, one Python file each."""

from __future__ import annotations

import bpy
from bl_operators.presets import AddPresetBase
from bl_ui.utils import PresetPanel

from .fields import FIELDS, FURTHER

SUBFOLDER = "layerflow"
_OF_ONE_SHOT = ("shot", "guide", "first_frame", "last_frame", "frame_range")


class LAYERFLOW_PT_presets(PresetPanel, bpy.types.Panel):
    """The presets there are."""

    bl_label = "LayerFlow Presets"
    bl_space_type = "SEQUENCE_EDITOR"
    bl_region_type = "UI"
    preset_subdir = SUBFOLDER
    preset_operator = "script.execute_preset"
    preset_add_operator = "layerflow.preset_add"


class LAYERFLOW_OT_preset_add(AddPresetBase, bpy.types.Operator):  # type: ignore[misc]  # of Blender's own making
    """Keep the settings under a name, or forget a name"""

    bl_idname = "layerflow.preset_add"
    bl_label = "Add LayerFlow Preset"
    preset_menu = "LAYERFLOW_PT_presets"
    preset_subdir = SUBFOLDER
    preset_defines = [
        "import bpy",
        "scene = getattr(bpy.context, 'sequencer_scene', None) or bpy.context.scene",
        "settings = scene.layerflow",
    ]
    preset_values = [f"settings.{field.name}" for field in FIELDS if field.name not in _OF_ONE_SHOT]


LAYERFLOW_OT_preset_add.preset_values.append(f"settings.{FURTHER}")

CLASSES = (LAYERFLOW_PT_presets, LAYERFLOW_OT_preset_add)
