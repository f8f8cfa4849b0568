"""What a strip shows, and whether the engine can read its files by itself.

It can where the Sequencer does nothing to the pixels of a movie or a sequence but lay them down. All else is rendered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .asking import COLOR_SPACES, Media, Source
from .look import Look
from .tickets import of_strip

if TYPE_CHECKING:
    import bpy

WITHOUT_PICTURE = ("SOUND",)
_GLANCE = 500  # files
_SAME_RATE = 5e-4  # of the rate; 24 and 23.976 are further apart
_PREMULTIPLIED = (".exr",)  # files that hold multiplied colours, as the engine takes them


def selected(scene: bpy.types.Scene) -> list[bpy.types.Strip]:
    """The selected strips with a picture, in the order of the timeline; those inside a closed meta are not counted."""
    editor = scene.sequence_editor
    if editor is None:
        return []
    inside: Any = editor.meta_stack[-1] if len(editor.meta_stack) else editor
    found = [strip for strip in inside.strips if strip.select and strip.type not in WITHOUT_PICTURE]
    return sorted(found, key=lambda strip: (strip.frame_final_start, strip.channel))


def why_rendered(scene: bpy.types.Scene, strip: Any) -> str:
    """Why the engine cannot read a strip's own files, as far as a glance tells, for a panel that is drawn often."""
    why = _why_rendered(scene, strip)
    if why or strip.type != "IMAGE" or len(strip.elements) > _GLANCE:
        return why
    return _images(strip)[1]


def source_of(scene: bpy.types.Scene, strip: bpy.types.Strip, renders: bool = False) -> Source:
    """What the engine is to be shown of a strip. With `renders` its frames are rendered whatever it is."""
    first, last = strip.frame_final_start, strip.frame_final_end - 1
    why = "there is a guide" if renders else _why_rendered(scene, strip)
    if not why:
        media, why = _movie(strip) if strip.type == "MOVIE" else _images(strip)
        if media is not None:
            return Source(strip.name, first, last, media, look=Look.of(strip))
    return Source(strip.name, first, last, None, why)


def _why_rendered(scene: bpy.types.Scene, strip: Any) -> str:
    """Why the files will not do; empty where nothing speaks against them."""
    if strip.type not in ("MOVIE", "IMAGE"):
        return f"it is a {strip.type.lower().replace('_', ' ')} strip"
    is_still = strip.type == "IMAGE" and len(strip.elements) == 1
    reasons = {
        "it is animated": _is_animated(scene, strip),
        "it is retimed": len(strip.retiming_keys) > 0,
        "its frame rate is not the scene's": _plays_at_another_rate(scene, strip),
        "it is longer than its files": min(strip.frame_offset_start, strip.frame_offset_end) < 0 and not is_still,
        "it runs backwards": strip.use_reverse_frames,
        "it has a strobe": strip.strobe > 1,
        "it has modifiers": any(not modifier.mute for modifier in strip.modifiers),
        "its colours are changed": (strip.color_multiply, strip.color_saturation) != (1.0, 1.0),
        "it is deinterlaced": strip.use_deinterlace,
        "it has several views": strip.use_multiview,
        "its colour space is one that the engine does not know": strip.colorspace_settings.name not in COLOR_SPACES,
        "its alpha is of another kind than its files'": not _has_usual_alpha(strip),
    }
    return next((why for why, holds in reasons.items() if holds), "")


def _plays_at_another_rate(scene: bpy.types.Scene, strip: Any) -> bool:
    """Whether a movie may skip or repeat frames: Blender does not tell whether it was fitted to the scene's rate."""
    if strip.type != "MOVIE":
        return False
    rate = scene.render.fps / scene.render.fps_base
    return abs(float(strip.fps) - rate) > _SAME_RATE * rate


def _has_usual_alpha(strip: Any) -> bool:
    """Whether Blender takes the alpha as the engine does, which knows its own layers by their header."""
    if of_strip(strip) is not None:
        return True
    usual = "PREMUL" if Path(_first_file(strip)).suffix.lower() in _PREMULTIPLIED else "STRAIGHT"
    return str(strip.alpha_mode) == usual


def _first_file(strip: Any) -> str:
    return str(strip.filepath if strip.type == "MOVIE" else strip.elements[0].filename)


def _movie(strip: Any) -> tuple[Media | None, str]:
    import bpy

    path = bpy.path.abspath(strip.filepath, library=strip.id_data.library)
    number = 1 + strip.animation_offset_start + round(strip.frame_final_start - strip.frame_start)
    return Media(path, number, COLOR_SPACES[strip.colorspace_settings.name]), ""


def _images(strip: Any) -> tuple[Media | None, str]:
    import bpy

    folder = bpy.path.abspath(strip.directory, library=strip.id_data.library)
    names = [element.filename for element in strip.elements]
    colorspace = COLOR_SPACES[strip.colorspace_settings.name]
    if len(names) == 1:
        return Media(str(Path(folder) / names[0]), None, colorspace), ""
    found = sequence(names)
    if found is None or strip.animation_offset_start:
        return None, "its files are not numbered one by one"
    pattern, number = found
    return Media(str(Path(folder) / pattern), number + round(strip.frame_offset_start), colorspace), ""


def sequence(names: Sequence[str]) -> tuple[str, int] | None:
    """The pattern of files that are numbered one by one, and the number of the first; None where they are not."""
    parts = [re.split("([0-9]+)", name) for name in names]
    first = parts[0]
    if any(len(each) != len(first) for each in parts) or any(mark in names[0] for mark in "#%"):
        return None
    differing = [place for place in range(len(first)) if len({each[place] for each in parts}) > 1]
    if len(differing) != 1 or differing[0] % 2 == 0:
        return None
    (place,) = differing
    numbers = [int(each[place]) for each in parts]
    width = len(first[place])
    is_padded = all(each[place] == f"{number:0{width}d}" for each, number in zip(parts, numbers, strict=True))
    if not is_padded or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        return None
    return "".join([*first[:place], "#" * width, *first[place + 1 :]]), numbers[0]


def _is_animated(scene: bpy.types.Scene, strip: Any) -> bool:
    path = f'sequence_editor.strips_all["{strip.name}"]'
    return any(curve.data_path.startswith(path) for curve in _curves(scene.animation_data))


def _curves(animation: Any) -> Iterator[Any]:
    """Every F-curve and driver of a scene; Blender 5 keeps curves by layer, strip and slot."""
    if animation is None:
        return
    yield from animation.drivers
    action = animation.action
    if action is None:
        return
    if hasattr(action, "fcurves"):
        yield from action.fcurves
        return
    for layer in action.layers:
        for strip in layer.strips:
            for bag in strip.channelbags:
                yield from bag.fcurves
