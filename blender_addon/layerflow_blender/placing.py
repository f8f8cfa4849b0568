"""Layers that came back, as strips: background below, foregrounds above, in one meta strip."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from layerflow.wire import Job
from layerflow.wire.run import HostError
from layerflow.wire.versions import Frames

from . import host
from .asking import COLOR_SPACES
from .tickets import STRIP_KEY, Ticket, for_strip

if TYPE_CHECKING:
    import bpy

HIGHEST_CHANNEL = 128
BLENDED = "blended"
META = "all"  # what the meta strip says that its layer is


def place(scene: bpy.types.Scene, ticket: Ticket, layers: Mapping[str, Sequence[str]]) -> bpy.types.MetaStrip:
    """The meta strip with the layers of a shot; `layers` has the files of each, in the order of the frames.

    It takes the lowest channel from the ticket's on that is free. Foregrounds have straight alpha, `blended` is muted.
    Raises HostError where frames are missing or no channel is free, and then there is nothing new.
    """
    names = in_order(layers)
    _check_files(layers)
    editor = scene.sequence_editor or scene.sequence_editor_create()
    frames = len(layers[names[0]])
    end = ticket.frame + frames if ticket.last is None else ticket.last + 1
    inside: Any = editor.meta_stack[-1] if len(editor.meta_stack) else editor
    channel = free_channel(inside.strips, ticket.frame, end, ticket.channel)
    meta: bpy.types.MetaStrip = inside.strips.new_meta(title_of(ticket), channel, ticket.frame)
    try:
        _fill(meta, ticket, {name: layers[name] for name in names}, end)
    except RuntimeError as error:
        inside.strips.remove(meta)
        raise HostError(f"Blender cannot make strips of the layers ({error}); see to their files") from error
    return meta


def _fill(meta: bpy.types.MetaStrip, ticket: Ticket, layers: Mapping[str, Sequence[str]], end: int) -> None:
    """Puts the layers into their meta strip, the first one lowest, until frame `end`, which is not shown any more."""
    for channel, (name, files) in enumerate(layers.items(), start=1):
        strip = _image_strip(meta.strips, ticket, f"{title_of(ticket)} {name}", channel, files)
        strip.frame_final_end = end
        strip.mute, strip.select = name == BLENDED, False
        strip[STRIP_KEY] = for_strip(ticket, name)
    meta.frame_final_end = end
    meta.blend_type, meta.select = "ALPHA_OVER", False  # whoever selected something goes on with that
    meta[STRIP_KEY] = for_strip(ticket, META)


def layers_of(job: Job) -> dict[str, list[str]]:
    """The files of each layer of a job that is done, in the order of the frames. Raises HostError."""
    found = (job.result or {}).get("per_layer")
    if not isinstance(found, dict) or "background" not in found:
        raise HostError("the engine told of no layers; install the same LayerFlow on both sides")
    return {str(name): [str(path) for path in paths] for name, paths in found.items()}


def frame_path(pattern: str, frame: int) -> str:
    """The file of a frame."""
    return Frames.of(pattern).path(frame)


def in_order(layers: Mapping[str, Sequence[str]]) -> list[str]:
    """Names of the layers from the lowest up: background, foregrounds from back to front, the blended picture."""
    foregrounds = sorted((name for name in layers if name.startswith("foreground")), key=_number, reverse=True)
    return [name for name in ("background", *foregrounds, BLENDED) if name in layers]


def _number(name: str) -> int:
    digits = name[len("foreground") :]
    return int(digits) if digits.isdigit() else 1


def free_channel(strips: Any, first: int, end: int, lowest: int) -> int:
    """The lowest channel from `lowest` on without a strip in [first, end). Raises HostError."""
    taken = {strip.channel for strip in strips if strip.frame_final_start < end and strip.frame_final_end > first}
    for channel in range(max(lowest, 1), HIGHEST_CHANNEL + 1):
        if channel not in taken:
            return channel
    raise HostError(f"all channels from {lowest} on are taken at frame {first}; make room, then press Bring In")


def size_of(strip: Any) -> tuple[int, int] | None:
    """Width and height of the layers in a strip of ours; None where Blender has not seen their files."""
    layer = strip.strips[0] if strip.type == "META" else strip
    width, height = layer.elements[0].orig_width, layer.elements[0].orig_height
    return (width, height) if width and height else None


def title_of(ticket: Ticket) -> str:
    """The name of a meta strip: the shot and its version, as its files are called."""
    name = os.path.basename(ticket.request.output)
    return name.split("%")[0].split("#")[0].rstrip("._-") or ticket.name


def blend_in_linear_light(scene: bpy.types.Scene) -> bool:
    """Has the Sequencer of a scene blend in linear light, as layers are made for; whether that is new."""
    settings = scene.sequencer_colorspace_settings
    if settings.name == host.working_space():
        return False
    settings.name = host.working_space()
    return True


def _image_strip(strips: Any, ticket: Ticket, name: str, channel: int, files: Sequence[str]) -> bpy.types.ImageStrip:
    fit = "FIT" if ticket.look.fits else "ORIGINAL"
    strip: Any = strips.new_image(name, files[0], channel, ticket.frame, fit_method=fit)
    for path in files[1:]:
        strip.elements.append(os.path.basename(path))
    strip.directory = host.portable(os.path.dirname(files[0]) + os.sep)
    strip.colorspace_settings.name = blender_name(ticket.request.output_colorspace)
    strip.alpha_mode, strip.blend_type = "STRAIGHT", "ALPHA_OVER"
    ticket.look.give(strip)
    return strip  # type: ignore[no-any-return]  # the collection's own type is not known


def blender_name(colorspace: str) -> str:
    """What Blender calls a colour space of the engine's."""
    return next((theirs for theirs, ours in COLOR_SPACES.items() if ours == colorspace), "Linear Rec.709")


def _check_files(layers: Mapping[str, Sequence[str]]) -> None:
    for name, files in layers.items():
        lost = [path for path in files if not os.path.isfile(path)]
        if lost or not files:
            there = lost[0] if lost else f"the layer {name}"
            raise HostError(f"{there} is not there any more; press Regenerate, or bring the file back")
