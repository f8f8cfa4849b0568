"""Blender's side of things: its scenes, the add-on's own folder, the main thread's timer, one rendered frame."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bpy

from layerflow.wire.run import Gone, HostError

from .asking import LINEAR_SPACES, Timeline
from .pump import TICK_S, NotNow, Pump

PACKAGE = __package__ or ""
_BUSY = ("TRANSFORM_OT_", "SEQUENCER_OT_", "ANIM_OT_")  # what moves things while it runs, and expects to find them


def sequencer_scene(context: bpy.types.Context) -> bpy.types.Scene:
    """The scene whose Sequencer is shown; Blender 5 may show another one than the window's."""
    found: Any = getattr(context, "sequencer_scene", None) or context.scene
    scene: bpy.types.Scene = found
    return scene


def find_scene(name: str) -> bpy.types.Scene:
    """The scene of that name. Raises Gone where there is none any more."""
    scene: bpy.types.Scene | None = bpy.data.scenes.get(name)
    if scene is None:
        raise Gone
    return scene


def preferences() -> Any:
    """The add-on's preferences; None where it was not enabled through them."""
    addon = bpy.context.preferences.addons.get(PACKAGE)
    return None if addon is None else addon.preferences


def wants_linear_light() -> bool:
    """Whether the Sequencer may be set to blend in linear light."""
    return bool(getattr(preferences(), "linear_light", True))


def own_folder() -> Path:
    """The folder for what the add-on remembers, of this user and this Blender; it may not be there yet."""
    try:
        return Path(bpy.utils.extension_path_user(PACKAGE))
    except ValueError:  # not installed as an extension
        return Path(bpy.utils.user_resource("CONFIG", path="layerflow"))


def whole_folder(folder: str) -> str:
    """The folder with // worked out. ValueError where the file that it is beside was never saved."""
    if folder.startswith("//") and not bpy.data.filepath:
        raise ValueError("the layers go beside the .blend file, which was never saved; save it, or choose a folder")
    return os.path.abspath(bpy.path.abspath(folder))


def portable(path: str) -> str:
    """The path by the folder of the .blend file, where it lies in there, so that both can be moved together."""
    folder = os.path.dirname(bpy.data.filepath)
    if folder and os.path.normcase(path).startswith(os.path.normcase(folder) + os.sep):
        return str(bpy.path.relpath(path))
    return path


def working_space() -> str:
    """The linear space in which Blender works, by its own name; Rec. 709 where the engine does not know that one."""
    settings = getattr(bpy.data, "colorspace", None)
    name = str(getattr(settings, "working_space", LINEAR_SPACES[0]))
    return name if name in LINEAR_SPACES else LINEAR_SPACES[0]


def timeline(scene: bpy.types.Scene) -> Timeline:
    """What of a scene a request depends on."""
    ranged = scene.use_preview_range
    first = scene.frame_preview_start if ranged else scene.frame_start
    last = scene.frame_preview_end if ranged else scene.frame_end
    fps = scene.render.fps / scene.render.fps_base
    return Timeline(first, last, scene.frame_current, fps, working_space())


def redraw() -> None:
    """Has the Sequencer's panels drawn anew."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "SEQUENCE_EDITOR":
                area.tag_redraw()


def wait_for_peace() -> None:
    """NotNow while Blender renders or something is dragged, which must not find the data changed."""
    app: Any = bpy.app
    if app.is_job_running("RENDER"):
        raise NotNow
    for window in bpy.context.window_manager.windows:
        if any(operator.bl_idname.startswith(_BUSY) for operator in window.modal_operators):
            raise NotNow


def remember(message: str) -> None:
    """Makes what was just done a step of undo."""
    with contextlib.suppress(RuntimeError):  # a Blender without undo
        bpy.ops.ed.undo_push(message=message)


class MainThread:
    """The pump, and the timer that drains it for as long as `is_needed` says that somebody may call."""

    def __init__(self, is_needed: Callable[[], bool]) -> None:
        self.pump = Pump()
        self._is_needed = is_needed
        self._timer = self.tick  # the one object that Blender knows the timer by

    def start(self) -> None:
        """Looks after calls from now on."""
        if not bpy.app.timers.is_registered(self._timer):
            bpy.app.timers.register(self._timer, first_interval=TICK_S, persistent=True)

    def stop(self) -> None:
        """Ends it; who waits hears that Blender is gone."""
        if bpy.app.timers.is_registered(self._timer):
            bpy.app.timers.unregister(self._timer)
        self.pump.close()

    def tick(self) -> float | None:
        """Makes the calls that wait; seconds until the next look, None where there need not be one."""
        if self.pump.drain():
            return 0.0
        return TICK_S if self._is_needed() else None


def render_frame(scene: bpy.types.Scene, strip: str, frame: int, path: str, alpha: bool, raw: bool) -> None:
    """Writes what a strip alone shows at a frame of the timeline, as 32-bit float EXR in the working space.

    The picture of the scene's render size, without anything that is above or below the strip; with `alpha`
    premultiplied. `raw` takes the numbers of its files as they are, for a matte. The scene is not touched: it is a copy
    that is rendered. Raises HostError.
    """
    name = f".{os.path.basename(path)}.part."
    part = os.path.join(os.path.dirname(path), f"{name}{frame:04d}.exr")
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with _copied(scene) as copy:
            _show_alone(copy, strip, raw)
            _write_exr(copy, os.path.join(os.path.dirname(path), f"{name}####.exr"), alpha)
            copy.frame_start = copy.frame_end = frame
            with bpy.context.temp_override(scene=copy):
                bpy.ops.render.render(animation=True)  # of one frame: a still has what is animated as it was before
        os.replace(part, path)
    except RuntimeError as error:
        raise HostError(f"frame {frame} of the strip {strip} cannot be rendered ({_first_line(error)})") from error
    except OSError as error:
        raise HostError(f"{path} cannot be written ({error.strerror}); see to the disk of the output folder") from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(part)


@contextlib.contextmanager
def _copied(scene: bpy.types.Scene) -> Iterator[bpy.types.Scene]:
    copy = scene.copy()
    try:
        yield copy
    finally:
        bpy.data.scenes.remove(copy)


def _show_alone(scene: bpy.types.Scene, name: str, raw: bool) -> None:
    """Mutes all but the strip, the strips that it is an effect of, and the metas that they are in."""
    editor = scene.sequence_editor
    strips = editor.strips_all
    wanted = strips.get(name)
    if wanted is None:
        raise HostError(f"the strip {name} is not there any more; press Generate again")
    shown, around = {name, *_inputs(wanted)}, [editor]
    parent = wanted.parent_meta()
    while parent is not None:
        shown.add(parent.name)
        around.append(parent)
        parent = parent.parent_meta()
    for owner in around:
        for channel in owner.channels:
            channel.mute = False
    inside = set() if wanted.type != "META" else {strip.name for strip in _all_in(wanted)}
    for strip in strips:
        if strip.name in shown:
            strip.mute = False
        elif strip.name not in inside:
            strip.mute = True
    wanted.blend_type, wanted.blend_alpha = "REPLACE", 1.0
    if raw and wanted.type in ("IMAGE", "MOVIE"):
        wanted.colorspace_settings.name = "Non-Color"


def _inputs(strip: Any) -> set[str]:
    found: set[str] = set()
    for number in ("input_1", "input_2"):
        under = getattr(strip, number, None)
        if under is not None:
            found |= {under.name, *_inputs(under)}
    return found


def _all_in(meta: Any) -> Iterator[Any]:
    for strip in meta.strips:
        yield strip
        if strip.type == "META":
            yield from _all_in(strip)


def _write_exr(scene: bpy.types.Scene, path: str, alpha: bool) -> None:
    render = scene.render
    render.filepath, render.use_file_extension, render.use_overwrite = path, False, True
    render.resolution_percentage, render.dither_intensity = 100, 0.0
    render.use_placeholder, scene.frame_step = False, 1
    render.use_sequencer, render.use_compositing, render.use_border = True, False, False
    render.use_stamp = render.use_multiview = False
    scene.sequencer_colorspace_settings.name = working_space()
    image: Any = render.image_settings
    if hasattr(image, "media_type"):  # from Blender 5 on, and the first to be set
        image.media_type = "IMAGE"
    image.file_format, image.color_mode, image.color_depth = "OPEN_EXR", "RGBA" if alpha else "RGB", "32"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
