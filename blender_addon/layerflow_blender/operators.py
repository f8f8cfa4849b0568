"""What the buttons do. Nothing raises out of here: what is wrong is reported in one sentence."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import bpy

from layerflow.wire.asking import new_seed
from layerflow.wire.run import Gone, HostError

from . import comp, host, placing, planning, settings
from .fields import FURTHER
from .history import PROMPTS
from .shots import the_shots
from .tickets import of_strip

Execute = Callable[[Any, bpy.types.Context], str | None]
_FINISHED, _CANCELLED = {"FINISHED"}, {"CANCELLED"}


def reporting(execute: Execute) -> Callable[[Any, bpy.types.Context], set[Any]]:
    """An operator's `execute` that reports what it says, or what goes wrong, and never raises."""

    @functools.wraps(execute)
    def guarded(self: Any, context: bpy.types.Context) -> set[Any]:
        try:
            said = execute(self, context)
        except (ValueError, HostError, OSError) as error:
            self.report({"ERROR"}, _sentence(error))
            return _CANCELLED
        except Gone:
            self.report({"ERROR"}, "that scene is not there any more")
            return _CANCELLED
        except Exception as error:
            logging.getLogger("layerflow").exception("an error that nobody foresaw")
            self.report({"ERROR"}, f"the add-on met an error of its own ({error}); the console has more")
            return _CANCELLED
        if said:
            self.report({"INFO"}, said)
        host.redraw()
        return _FINISHED

    return guarded


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename} cannot be used ({error.strerror}); see to that folder"
    return str(error)


def _active(context: bpy.types.Context) -> Any:
    """The active strip. ValueError where there is none."""
    editor = host.sequencer_scene(context).sequence_editor
    strip = None if editor is None else editor.active_strip
    if strip is None:
        raise ValueError("select a strip of LayerFlow's first")
    return strip


class _Operator(bpy.types.Operator):
    bl_options = {"REGISTER"}

    if TYPE_CHECKING:  # what Blender makes of their annotations below
        key: str
        index: int


class LAYERFLOW_OT_generate(_Operator):
    """Make the layers of every selected strip, or of the prompts alone, as the settings say"""

    bl_idname = "layerflow.generate"
    bl_label = "Generate"

    @reporting
    def execute(self, context: bpy.types.Context) -> str:
        entries = the_shots().generate(host.sequencer_scene(context))
        return f"asked for {', '.join(entry.ticket.name for entry in entries)}"


class LAYERFLOW_OT_regenerate(_Operator):
    """Make the active strip's layers again by its own settings, as the next version on a channel of its own"""

    bl_idname = "layerflow.regenerate"
    bl_label = "Regenerate"

    @reporting
    def execute(self, context: bpy.types.Context) -> str:
        entry = the_shots().regenerate(host.sequencer_scene(context), _active(context))
        return f"asked for {entry.ticket.name} again"


class LAYERFLOW_OT_take_settings(_Operator):
    """Have the panel show the settings that the active strip was made with"""

    bl_idname = "layerflow.take_settings"
    bl_label = "Take Its Settings"
    bl_options = {"REGISTER", "UNDO"}

    @reporting
    def execute(self, context: bpy.types.Context) -> None:
        ticket = planning.ticket_of(_active(context))
        settings.take_over(host.sequencer_scene(context), ticket.request, ticket.lock_seed)


class LAYERFLOW_OT_reload(_Operator):
    """Read the frames from disk again, and look again for jobs that could not be watched"""

    bl_idname = "layerflow.reload"
    bl_label = "Reload"

    @reporting
    def execute(self, context: bpy.types.Context) -> str:
        shots, scene = the_shots(), host.sequencer_scene(context)
        shots.attach()
        watched = shots.watch_again()
        lost = _refresh(scene)
        if lost:
            more = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
            raise ValueError(f"{lost[0]}{more} is not there; bring it back, or press Regenerate")
        return f"{watched} jobs are watched again" if watched else "the layers were read again"


def _refresh(scene: bpy.types.Scene) -> list[str]:
    """Has the Sequencer read our strips again; the files of theirs that are missing."""
    lost = []
    editor = scene.sequence_editor
    strips: Any = [] if editor is None else editor.strips_all
    for strip in strips:
        if of_strip(strip) is None or strip.type != "IMAGE":
            continue
        folder = bpy.path.abspath(strip.directory)
        files = [os.path.join(folder, element.filename) for element in strip.elements]
        lost += [path for path in files if not os.path.isfile(path)]
        strip.invalidate_cache("RAW")
    return lost


class LAYERFLOW_OT_build_comp(_Operator):
    """Build a scene whose compositor puts the active strip's layers together, from its layered EXR"""

    bl_idname = "layerflow.build_comp"
    bl_label = "Build Compositor Tree"
    bl_options = {"REGISTER", "UNDO"}

    @reporting
    def execute(self, context: bpy.types.Context) -> str:
        strip, like = _active(context), host.sequencer_scene(context)
        size = placing.size_of(strip) or (like.render.resolution_x, like.render.resolution_y)
        scene = comp.build(planning.ticket_of(strip), size, like)
        return f"the scene {scene.name} has the compositor tree"


class LAYERFLOW_OT_open_folder(_Operator):
    """Show the folder of the active strip's files"""

    bl_idname = "layerflow.open_folder"
    bl_label = "Open Folder"

    @reporting
    def execute(self, context: bpy.types.Context) -> None:
        folder = os.path.dirname(planning.ticket_of(_active(context)).request.output)
        if not os.path.isdir(folder):
            raise ValueError(f"the folder {folder} is not there any more")
        bpy.ops.wm.path_open(filepath=folder)


class LAYERFLOW_OT_new_seed(_Operator):
    """Take another seed"""

    bl_idname = "layerflow.new_seed"
    bl_label = "New Seed"
    bl_options = {"REGISTER", "UNDO"}

    @reporting
    def execute(self, context: bpy.types.Context) -> None:
        settings.of_scene(host.sequencer_scene(context)).seed = new_seed()


class LAYERFLOW_OT_add_foreground(_Operator):
    """One more foreground, behind those there are"""

    bl_idname = "layerflow.add_foreground"
    bl_label = "Add Foreground"
    bl_options = {"REGISTER", "UNDO"}

    @reporting
    def execute(self, context: bpy.types.Context) -> None:
        getattr(settings.of_scene(host.sequencer_scene(context)), FURTHER).add()


class LAYERFLOW_OT_remove_foreground(_Operator):
    """Take this foreground out"""

    bl_idname = "layerflow.remove_foreground"
    bl_label = "Remove Foreground"
    bl_options = {"REGISTER", "UNDO"}

    @reporting
    def execute(self, context: bpy.types.Context) -> None:
        getattr(settings.of_scene(host.sequencer_scene(context)), FURTHER).remove(self.index)


class LAYERFLOW_OT_use_prompts(_Operator):
    """Take these prompts again"""

    bl_idname = "layerflow.use_prompts"
    bl_label = "Last Prompts"
    bl_options = {"REGISTER", "UNDO"}

    @reporting
    def execute(self, context: bpy.types.Context) -> None:
        kept, sets = settings.of_scene(host.sequencer_scene(context)), the_shots().history.all()
        if not 0 <= self.index < len(sets):
            raise ValueError("those prompts are not kept any more")
        for name in PROMPTS:
            setattr(kept, name, sets[self.index][name])


class LAYERFLOW_OT_check_engine(_Operator):
    """Ask the engine who it is, and start it where none runs"""

    bl_idname = "layerflow.check_engine"
    bl_label = "Check Engine"

    @reporting
    def execute(self, context: bpy.types.Context) -> None:
        the_shots().look_for_engine()


class LAYERFLOW_OT_cancel(_Operator):
    """End this job; frames that are whole stay on disk"""

    bl_idname = "layerflow.cancel"
    bl_label = "Cancel"

    @reporting
    def execute(self, context: bpy.types.Context) -> None:
        the_shots().cancel(self.key)


class LAYERFLOW_OT_retry(_Operator):
    """Put this job in the queue again, where it goes on from its last saved step"""

    bl_idname = "layerflow.retry"
    bl_label = "Retry"

    @reporting
    def execute(self, context: bpy.types.Context) -> None:
        the_shots().retry(self.key)


class LAYERFLOW_OT_bring_in(_Operator):
    """Put the layers of this job into the Sequencer that is open"""

    bl_idname = "layerflow.bring_in"
    bl_label = "Bring In"

    @reporting
    def execute(self, context: bpy.types.Context) -> None:
        the_shots().bring_in(self.key, host.sequencer_scene(context))


class LAYERFLOW_OT_dismiss(_Operator):
    """Take this line out of the queue; a job that still runs is cancelled"""

    bl_idname = "layerflow.dismiss"
    bl_label = "Dismiss"

    @reporting
    def execute(self, context: bpy.types.Context) -> None:
        the_shots().dismiss(self.key)


_OF_ENTRY = (LAYERFLOW_OT_cancel, LAYERFLOW_OT_retry, LAYERFLOW_OT_bring_in, LAYERFLOW_OT_dismiss)
_OF_LIST = (LAYERFLOW_OT_remove_foreground, LAYERFLOW_OT_use_prompts)
for _each in (*_OF_ENTRY, *_OF_LIST):
    _each.__annotations__ = (
        {"key": bpy.props.StringProperty(options={"HIDDEN", "SKIP_SAVE"})}
        if _each in _OF_ENTRY
        else {"index": bpy.props.IntProperty(options={"HIDDEN", "SKIP_SAVE"})}
    )

CLASSES = tuple(found for name, found in sorted(globals().items()) if name.startswith("LAYERFLOW_OT_"))
