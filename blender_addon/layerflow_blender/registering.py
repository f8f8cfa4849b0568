"""What Blender gets to know of the add-on, and forgets again."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.app.handlers import persistent

from . import operators, panels, preferences, presets, settings, shots

CLASSES = (
    settings.LayerFlowPrompt,
    settings.LayerFlowSettings,
    *operators.CLASSES,
    *presets.CLASSES,
    *preferences.CLASSES,
    *panels.CLASSES,
)


def register() -> None:
    """Classes, the settings of scenes, and what happens when files come and go."""
    queue = shots.open_shots()
    settings.prepare(queue.suggest)
    for each in CLASSES:
        bpy.utils.register_class(each)
    setattr(bpy.types.Scene, settings.ATTRIBUTE, bpy.props.PointerProperty(type=settings.LayerFlowSettings))
    for handlers, handler in _handlers():
        handlers.append(handler)
    bpy.app.timers.register(_attach, first_interval=0.0)  # Blender has no data yet while it starts


def unregister() -> None:
    """None of it any more; jobs go on in the queue."""
    if bpy.app.timers.is_registered(_attach):
        bpy.app.timers.unregister(_attach)
    for handlers, handler in _handlers():
        if handler in handlers:
            handlers.remove(handler)
    shots.close_shots()
    delattr(bpy.types.Scene, settings.ATTRIBUTE)
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)


def _handlers() -> list[tuple[Any, Any]]:
    of = bpy.app.handlers
    return [(of.load_pre, _file_goes), (of.load_post, _file_came), (of.save_post, _file_saved)]


def _attach() -> None:
    if not bpy.app.background or bpy.app.module:  # a farm's Blender renders a file and brings nothing in
        shots.the_shots().attach()


@persistent
def _file_goes(*_: Any) -> None:
    shots.the_shots().leave()


@persistent
def _file_came(*_: Any) -> None:
    _attach()


@persistent
def _file_saved(*_: Any) -> None:
    shots.the_shots().file_saved()
