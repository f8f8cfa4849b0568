"""What runs in a real Blender for the tests: it does what it is told, line by line, and answers in JSON.

Standard library and bpy alone. `blender_process.Blender` starts it.
"""

import json
import os
import sys
import threading
import time
import traceback

import bpy

import addon_utils  # isort: skip - Blender's own, which bpy brings

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from drawing import drawn
from seeing import comp_nodes, render, show_socket  # noqa: F401 - called by their names

ADDON = "bl_ext.user_default.layerflow"
MARK = "\x1elayerflow "
IS_5 = bpy.app.version >= (5, 0, 0)


def module(name):
    return sys.modules[f"{ADDON}.{name}"]


def shots():
    return module("shots").the_shots()


def scene():
    return bpy.context.scene


# The add-on.


def enable():
    addon_utils.enable(ADDON, default_set=True, handle_error=lambda error: traceback.print_exc())
    return {"version": bpy.app.version_string, "enabled": addon_utils.check(ADDON)[1]}


def disable():
    addon_utils.disable(ADDON, default_set=True)


def traces():
    """Everything that an add-on could leave behind."""
    handlers = {
        name: [handler.__module__ for handler in found]
        for name in dir(bpy.app.handlers)
        if isinstance(found := getattr(bpy.app.handlers, name), list)
    }
    return {
        "classes": sorted(
            name for name in dir(bpy.types) if name.lower().startswith("layerflow") or "layerflow_" in name.lower()
        ),
        "operators": [name for name in dir(bpy.ops) if name == "layerflow"] and dir(bpy.ops.layerflow),
        "handlers": {name: found for name, found in handlers.items() if any("layerflow" in each for each in found)},
        "modules": sorted(name for name in sys.modules if "layerflow" in name and name != ADDON),
        "path": [path for path in sys.path if "layerflow" in path],
        "threads": sorted(thread.name for thread in threading.enumerate() if thread is not threading.main_thread()),
        "scene": hasattr(bpy.types.Scene, "layerflow"),
        "preferences": ADDON in bpy.context.preferences.addons,
    }


def threads_after(seconds):
    """The threads that are still there after so long at most."""
    ends_at = time.monotonic() + seconds
    while traces()["threads"] and time.monotonic() < ends_at:
        time.sleep(0.05)
    return traces()["threads"]


def preferences(**values):
    for name, value in values.items():
        setattr(bpy.context.preferences.addons[ADDON].preferences, name, value)


# Files.


def new_file():
    """As File > New."""
    bpy.ops.wm.read_homefile(use_factory_startup=True, load_ui=False)
    bpy.context.scene.layerflow.model = ""


def save(path):
    bpy.ops.wm.save_as_mainfile(filepath=path)


def load(path):
    bpy.ops.wm.open_mainfile(filepath=path)


def undo_push(message):
    bpy.ops.ed.undo_push(message=message)


def undo():
    bpy.ops.ed.undo()


def redo():
    bpy.ops.ed.redo()


# Scenes and strips.


def set_scene(**values):
    for name, value in values.items():
        owner = scene().render if hasattr(scene().render, name) else scene()
        setattr(owner, name, value)


def editor():
    return scene().sequence_editor or scene().sequence_editor_create()


def work_in(space):
    """Has the file work in another linear space, as Blender 5 can."""
    bpy.ops.wm.set_working_color_space(working_space=space, convert_colors=False)


def add_images(name, folder, files, channel=1, frame=1, **values):
    strip = editor().strips.new_image(name, os.path.join(folder, files[0]), channel, frame)
    for file in files[1:]:
        strip.elements.append(file)
    return _with(strip, values)


def add_movie(name, path, channel=1, frame=1, **values):
    return _with(editor().strips.new_movie(name, path, channel, frame), values)


def add_color(name, color, channel=1, frame=1, length=10, **values):
    end = {"length": length} if IS_5 else {"frame_end": frame + length}
    strip = editor().strips.new_effect(name=name, type="COLOR", channel=channel, frame_start=frame, **end)
    strip.color = color
    return _with(strip, values)


def add_scene_strip(name, color, channel=1, frame=1, length=8):
    """A scene whose own Sequencer shows a colour, as a strip."""
    inner = bpy.data.scenes.new(name)
    inner.frame_start, inner.frame_end = 1, length
    end = {"length": length} if IS_5 else {"frame_end": 1 + length}
    made = inner.sequence_editor_create().strips.new_effect(name=name, type="COLOR", channel=1, frame_start=1, **end)
    made.color = color
    strip = editor().strips.new_scene(name, inner, channel, frame)
    strip.scene_input = "SEQUENCER"
    return _with(strip, {})


def add_3d_scene(name, color, channel=1, frame=1, length=2):
    """A scene of a camera and a world of one colour, rendered by Cycles, as a strip."""
    inner = bpy.data.scenes.new(name)
    inner.frame_start, inner.frame_end = 1, length
    inner.camera = bpy.data.objects.new(name, bpy.data.cameras.new(name))
    inner.world = bpy.data.worlds.new(name)
    inner.world.color = color
    if IS_5:  # every world has nodes
        inner.world.node_tree.nodes["Background"].inputs["Color"].default_value = (*color, 1)
    inner.render.engine, inner.cycles.samples, inner.cycles.use_denoising = "CYCLES", 1, False
    return _with(editor().strips.new_scene(name, inner, channel, frame), {})


def _with(strip, values):
    for name, value in values.items():
        owner, _, leaf = name.rpartition("__")
        setattr(getattr(strip, owner) if owner else strip, leaf, value)
    return strip.name


def change_strip(name, **values):
    _with(editor().strips_all[name], values)


def add_modifier(name):
    editor().strips_all[name].modifiers.new(name="m", type="BRIGHT_CONTRAST")


def slide(name, first, start, last, end):
    """Has a strip slide to the right between two frames."""
    transform = editor().strips_all[name].transform
    for frame, offset in ((first, start), (last, end)):
        transform.offset_x = offset
        transform.keyframe_insert("offset_x", frame=frame)


def select(*names):
    for strip in editor().strips_all:
        strip.select = strip.name in names
    editor().active_strip = editor().strips_all[names[0]] if names else None


def remove(name):
    editor().strips.remove(editor().strips[name])


def rename_scene(name):
    scene().name = name


def strips(of=None):
    """All strips of a scene, what is told of them."""
    found = bpy.data.scenes[of] if of else scene()
    if found.sequence_editor is None:
        return {}
    return {strip.name: _told(strip) for strip in found.sequence_editor.strips_all}


def _told(strip):
    parent = strip.parent_meta()
    told = {
        "type": strip.type,
        "channel": strip.channel,
        "first": strip.frame_final_start,
        "last": strip.frame_final_end - 1,
        "mute": strip.mute,
        "blend": strip.blend_type,
        "select": strip.select,
        "parent": None if parent is None else parent.name,
        "ours": strip.get("layerflow"),
        "alpha": getattr(strip, "alpha_mode", None),
    }
    if strip.type == "IMAGE":
        told["directory"] = strip.directory
        told["files"] = [element.filename for element in strip.elements]
        told["size"] = [strip.elements[0].orig_width, strip.elements[0].orig_height]
        told["colorspace"] = strip.colorspace_settings.name
        told["scale"] = [strip.transform.scale_x, strip.transform.scale_y]
        told["offset"] = [strip.transform.offset_x, strip.transform.offset_y]
        told["flip"] = [strip.use_flip_x, strip.use_flip_y]
        told["crop"] = strip.crop.min_x
    if strip.type == "META":
        told["duration"] = strip.frame_duration
        told["offsets"] = [strip.frame_offset_start, strip.frame_offset_end]
    return told


def scene_state():
    """What of the open file must not change by itself."""
    return {
        "scenes": sorted(each.name for each in bpy.data.scenes),
        "strips": strips(),
        "frame": scene().frame_current,
        "filepath": scene().render.filepath,
        "format": scene().render.image_settings.file_format,
        "size": [scene().render.resolution_x, scene().render.resolution_y, scene().render.resolution_percentage],
        "sequencer": scene().sequencer_colorspace_settings.name,
        "images": sorted(image.name for image in bpy.data.images if image.name != "Render Result"),
    }


def render_strip(name, frame, path, alpha=False, raw=False):
    module("host").render_frame(scene(), name, frame, path, alpha=alpha, raw=raw)


def open_meta(name):
    """Goes into a meta strip, or out of all."""
    editor().display_stack(editor().strips_all[name] if name else None)


def mute_channel(number):
    editor().channels[number].mute = True


def free_channel(first, end, lowest):
    """The channel that layers would get, or why there is none."""
    try:
        return module("placing").free_channel(editor().strips, first, end, lowest)
    except sys.modules["layerflow.wire.run"].HostError as error:
        return str(error)


def nest(name, *names):
    """Puts strips into a new meta strip."""
    first = min(editor().strips[each].frame_final_start for each in names)
    last = max(editor().strips[each].frame_final_end for each in names)
    meta = editor().strips.new_meta(name, 20, first)
    for each in names:
        strip = editor().strips[each]
        strip.move_to_meta(meta)
        strip.frame_final_end = strip.frame_final_end
    meta.frame_final_end = last


def blur(name, under, channel, first, length):
    """A blur of another strip."""
    end = {"length": length} if IS_5 else {"frame_end": first + length}
    strip = editor().strips.new_effect(
        name=name, type="GAUSSIAN_BLUR", channel=channel, frame_start=first, input1=editor().strips[under], **end
    )
    strip.size_x = strip.size_y = 0.0


def mask_strip(name, channel, frame, length):
    """A mask that covers the left half of the picture."""
    mask = bpy.data.masks.new(name)
    spline = mask.layers.new().splines.new()
    spline.points.add(3)
    for point, place in zip(spline.points, ((-1, -1), (0.5, -1), (0.5, 2), (-1, 2)), strict=True):
        point.co = place
        for handle in ("handle_left_type", "handle_right_type"):
            if hasattr(point, handle):
                setattr(point, handle, "VECTOR")
        point.handle_left = point.handle_right = place
    spline.use_cyclic = True
    strip = editor().strips.new_mask(name, mask, channel, frame)
    strip.frame_final_end = frame + length


# The panel.


def settings(**values):
    kept = scene().layerflow
    for name, value in values.items():
        if name == "further":
            kept.further.clear()
            for text in value:
                kept.further.add().text = text
        else:
            setattr(kept, name, value)
    return module("settings").values_of(scene())


def press(name, /, **values):
    """What an operator returned and reported, and how long it took, in seconds."""
    began = time.perf_counter()
    try:
        result = sorted(getattr(bpy.ops.layerflow, name)(**values))
    except RuntimeError as error:
        return {"result": ["CANCELLED"], "error": str(error).strip().removeprefix("Error: "), "seconds": 0.0}
    return {"result": result, "error": "", "seconds": time.perf_counter() - began}


def use_preset(path):
    """As a click on a preset."""
    bpy.ops.script.execute_preset(filepath=path, menu_idname="LAYERFLOW_PT_presets")


def source(name):
    found = module("sources").source_of(scene(), editor().strips_all[name])
    media = found.media
    told = None if media is None else [media.plate, media.frame, media.colorspace]
    return {"first": found.first, "last": found.last, "media": told, "why": found.why}


def queue():
    """The lines of the queue, the newest first."""
    return [
        {
            "key": entry.ticket.key,
            "name": entry.ticket.name,
            "label": entry.ticket.label,
            "text": entry.status.text,
            "state": entry.status.state,
            "fraction": entry.status.fraction,
            "running": entry.is_running,
            "jobs": list(entry.ticket.jobs),
            "output": entry.ticket.request.output,
            "request": entry.ticket.request.to_dict(),
            "picture": picture(entry.ticket.key),
        }
        for entry in module("shots").entries_in_order(shots())
    ]


def picture(key):
    """The size of the picture that is shown of a job; Blender has no icons without a window."""
    found = shots().pictures._collection.get(key)
    return None if found is None else list(found.image_size)


def keep_as_asked(job):
    """Has the ticket of the newest line say that this job, or none yet, goes on."""
    entry = module("shots").entries_in_order(shots())[0]
    shots().note(entry, jobs=() if job is None else (job,), state="working", message="")


def tick(times=1):
    """What Blender's timer does, which never fires without a window."""
    for _ in range(times):
        shots().main.tick()
        time.sleep(0.01)


def wait(seconds=120.0, until=None):
    """Ticks until nothing runs, or a status has `until` in it; every different status text there was."""
    said, ends_at, longest = [], time.monotonic() + seconds, 0.0
    while time.monotonic() < ends_at:
        began = time.perf_counter()
        shots().main.tick()
        longest = max(longest, time.perf_counter() - began)
        for line in queue():
            if line["text"] not in said:
                said.append(line["text"])
        if until is not None and any(until in line["text"] for line in queue()):
            break
        if until is None and not shots().is_working():
            break
        time.sleep(0.02)
    else:
        raise AssertionError(f"nothing came of it in {seconds} s: {queue()}")
    return {"said": said, "longest": longest}


def timers():
    return bpy.app.timers.is_registered(shots().main._timer)


def is_rendering(now):
    """Has Blender seem to render, or not."""
    host = module("host")
    host.bpy = _Rendering() if now else bpy


class _Rendering:
    """bpy, with a render going on."""

    class app:  # noqa: N801 - bpy's own name
        tempdir = bpy.app.tempdir

        @staticmethod
        def is_job_running(job):
            return job == "RENDER"

    def __getattr__(self, name):
        return getattr(bpy, name)


def engine():
    return {"said": shots().engine, "models": shots().models}


def suggested(name, typed):
    return list(shots().suggest(name, typed))


def draw():
    """What every panel of the add-on draws now, by its name; None where it is not shown."""
    kind = module("preferences").LayerFlowPreferences
    kept = bpy.context.preferences.addons[ADDON].preferences
    panels = {each.__name__: drawn(each) for each in module("panels").CLASSES}
    return {**panels, kind.__name__: drawn(kind, kept)}


def classes_in_blender():
    """Names that Blender's own tables have of panels, menus and operators of ours."""
    return [name for name in dir(bpy.types) if name.startswith("LAYERFLOW_")]


def answer(line):
    told = json.loads(line)
    try:
        return {"value": globals()[told["name"]](*told["args"], **told["kwargs"])}
    except BaseException:  # noqa: BLE001 - it is the test's to judge
        return {"error": traceback.format_exc()}


def main():
    for line in sys.stdin:
        print(MARK + json.dumps(answer(line)), flush=True)


main()
