"""The tab LayerFlow in the Sequencer's side panel, and a menu of the prompts of before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bpy

from layerflow.wire.status import CANCELLED, DONE, FAILED, WORKING

from . import host, planning, settings
from .asking import CUSTOM, FROM_STRIP, WITH_STRIP
from .entries import Entry
from .fields import FURTHER, MAKING
from .presets import LAYERFLOW_PT_presets
from .shots import entries_in_order, the_shots
from .sources import why_rendered
from .tickets import of_strip

_ICONS: dict[str, Any] = {WORKING: "TIME", DONE: "CHECKMARK", FAILED: "ERROR", CANCELLED: "X"}
_PICTURE = 6.0  # the height of a preview, in lines
_SHOWN = 6  # strips that are named
_SHORT = 60  # characters of a prompt in a menu


class _Panel(bpy.types.Panel):
    bl_space_type = "SEQUENCE_EDITOR"
    bl_region_type = "UI"
    bl_category = "LayerFlow"

    def props(self, context: bpy.types.Context, names: Sequence[str]) -> None:
        """The settings of these names, one below the other."""
        self.layout.use_property_split = True
        self.layout.use_property_decorate = False
        for name in names:
            self.layout.prop(settings.of_scene(host.sequencer_scene(context)), name)


class LAYERFLOW_PT_shot(_Panel):
    """What to make, and Generate."""

    bl_label = "LayerFlow"

    def draw_header_preset(self, context: bpy.types.Context) -> None:
        """Presets, in the corner."""
        LAYERFLOW_PT_presets.draw_panel_header(self.layout)

    def draw(self, context: bpy.types.Context) -> None:
        """Task, strips, prompts, Generate."""
        scene = host.sequencer_scene(context)
        kept, column = settings.of_scene(scene), self.layout.column()
        column.prop(kept, "task", text="")
        _strips(column, scene)
        self._prompts(column, kept)
        row = column.row(align=True)
        row.scale_y = 1.4
        row.operator("layerflow.generate", icon="RENDERLAYERS")
        row.operator("layerflow.reload", text="", icon="FILE_REFRESH")

    def _prompts(self, column: Any, kept: Any) -> None:
        row = column.row(align=True)
        row.prop(kept, "foreground", text="", icon="USER", placeholder="Foreground")
        row.menu("LAYERFLOW_MT_prompts", text="", icon="RECOVER_LAST")
        if kept.task in ("decompose", "generate"):
            for index, prompt in enumerate(getattr(kept, FURTHER)):
                row = column.row(align=True)
                row.prop(prompt, "text", text="", icon="USER", placeholder="Foreground behind it")
                row.operator("layerflow.remove_foreground", text="", icon="REMOVE").index = index
            column.operator("layerflow.add_foreground", text="Another Foreground", icon="ADD", emboss=False)
        column.prop(kept, "background", text="", icon="WORLD", placeholder="Background")
        column.prop(kept, "blended", text="", icon="IMAGE_DATA", placeholder="The whole picture, if you like")


def _strips(column: Any, scene: bpy.types.Scene) -> None:
    """What Generate would work on, in a line each."""
    values = settings.values_of(scene)
    if values["task"] not in WITH_STRIP:
        return
    try:
        strips = planning.strips_for(scene, values)
    except ValueError:
        column.label(text="Select a strip", icon="INFO")
        return
    has_guide = bool(values["guide"]) and values["task"] == "decompose"
    for strip in strips[:_SHOWN]:
        why = "there is a guide" if has_guide else why_rendered(scene, strip)
        how = f", rendered, for {why}" if why else ""
        frames = f"{strip.frame_final_start}-{strip.frame_final_end - 1}"
        column.label(text=f"{strip.name}: {frames}{how}", icon="SEQUENCE")
    if len(strips) > _SHOWN:
        column.label(text=f"and {len(strips) - _SHOWN} more strips")


class LAYERFLOW_PT_making(_Panel):
    """Model, seed, steps and the like."""

    bl_label = "Settings"

    def draw(self, context: bpy.types.Context) -> None:
        """One setting per line, the seed with its buttons."""
        scene = host.sequencer_scene(context)
        self.props(context, [])
        self.layout.prop(settings.of_scene(scene), "model", placeholder=settings.default_model())
        self.props(context, [field.name for field in MAKING if field.name != "model"])
        self.layout.operator("layerflow.new_seed", icon="FILE_REFRESH")


class LAYERFLOW_PT_place(_Panel):
    """Which frames, and where they go."""

    bl_label = "Frames and Files"

    def draw(self, context: bpy.types.Context) -> None:
        """Only what counts for the range that is chosen."""
        chosen = settings.of_scene(host.sequencer_scene(context))
        names = ["frame_range"]
        if chosen.frame_range == CUSTOM:
            names += ["first_frame", "last_frame"]
        elif chosen.frame_range == FROM_STRIP and chosen.task not in WITH_STRIP:
            names += ["length"]
        self.props(context, names)
        self.layout.prop(chosen, "folder", placeholder=settings.default_folder())
        self.layout.prop(chosen, "shot", placeholder="as the strip")


class LAYERFLOW_PT_matte(_Panel):
    """What helps a plate to be taken apart."""

    bl_label = "Matte"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """For plates alone."""
        return bool(settings.of_scene(host.sequencer_scene(context)).task == "decompose")

    def draw(self, context: bpy.types.Context) -> None:
        """The guide is chosen among the strips."""
        scene = host.sequencer_scene(context)
        if scene.sequence_editor is not None:
            self.layout.use_property_split = True
            self.layout.prop_search(settings.of_scene(scene), "guide", scene.sequence_editor, "strips_all")
        self.props(context, ["guide_channel", "guide_kind", "refine", "closeup"])


class LAYERFLOW_PT_engine(_Panel):
    """How the engine goes about it."""

    bl_label = "Engine"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """One setting per line."""
        self.props(context, ["preview_layer", "fit", "memory", "precision", "device", "backend", "lora"])


class LAYERFLOW_PT_strip(_Panel):
    """What the active strip came from, and what can be done with it."""

    bl_label = "Layer"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """For strips of ours."""
        editor = host.sequencer_scene(context).sequence_editor
        strip = None if editor is None else editor.active_strip
        return strip is not None and of_strip(strip) is not None

    def draw(self, context: bpy.types.Context) -> None:
        """Its prompts and seed, then the buttons."""
        editor = host.sequencer_scene(context).sequence_editor
        strip: Any = None if editor is None else editor.active_strip
        column = self.layout.column()
        try:
            request = planning.ticket_of(strip).request
        except ValueError as error:
            column.label(text=str(error), icon="ERROR")
            return
        fronts = request.foregrounds or (request.foreground,)
        for front in filter(None, fronts):
            column.label(text=front, icon="USER")
        if request.background:
            column.label(text=request.background, icon="WORLD")
        column.label(text=f"{request.task}, {request.model}, seed {request.seed}", icon="PREFERENCES")
        column.operator("layerflow.regenerate", icon="FILE_REFRESH")
        column.operator("layerflow.take_settings", icon="PASTEDOWN")
        column.operator("layerflow.build_comp", icon="NODETREE")
        column.operator("layerflow.open_folder", icon="FILE_FOLDER")


class LAYERFLOW_PT_queue(_Panel):
    """What has been asked for, the newest first."""

    bl_label = "Queue"

    def draw(self, context: bpy.types.Context) -> None:
        """A line and a bar for each; a picture where there is one."""
        entries = entries_in_order(the_shots())
        if not entries:
            self.layout.label(text="Nothing has been asked for")
        for entry in entries:
            _entry(self.layout.box(), entry)


def _entry(box: Any, entry: Entry) -> None:
    key, status = entry.ticket.key, entry.status
    row = box.row()
    row.label(text=entry.ticket.name, icon=_ICONS[status.state])
    if entry.is_running:
        row.operator("layerflow.cancel", text="", icon="CANCEL").key = key
    else:
        if status.state in (FAILED, CANCELLED) and entry.ticket.jobs:
            row.operator("layerflow.retry", text="", icon="LOOP_BACK").key = key
            row.operator("layerflow.bring_in", text="", icon="IMPORT").key = key
        row.operator("layerflow.dismiss", text="", icon="X").key = key
    if entry.is_running and status.fraction is not None:
        box.progress(factor=status.fraction, text=status.text)
    else:
        _wrapped(box, status.text)
    icon = the_shots().pictures.icon(key) if entry.is_running else 0
    if icon:
        box.template_icon(icon, scale=_PICTURE)


def _wrapped(box: Any, text: str, width: int = 44) -> None:
    """A sentence over as many lines as it takes, since a label shows only one."""
    import textwrap

    column = box.column(align=True)
    for line in textwrap.wrap(text, width):
        column.label(text=line)


class LAYERFLOW_MT_prompts(bpy.types.Menu):
    """The prompts of before, the last first."""

    bl_label = "Last Prompts"

    def draw(self, context: bpy.types.Context) -> None:
        """A line for each set."""
        sets = the_shots().history.all()
        if not sets:
            self.layout.label(text="None yet")
        for index, prompts in enumerate(sets):
            text = " / ".join(filter(None, prompts.values()))
            short = text if len(text) <= _SHORT else text[: _SHORT - 1] + "…"
            self.layout.operator("layerflow.use_prompts", text=short).index = index


CLASSES = (
    LAYERFLOW_MT_prompts,
    LAYERFLOW_PT_shot,
    LAYERFLOW_PT_queue,
    LAYERFLOW_PT_strip,
    LAYERFLOW_PT_making,
    LAYERFLOW_PT_place,
    LAYERFLOW_PT_matte,
    LAYERFLOW_PT_engine,
)
