"""From a scene to what one press of Generate asks for: a plan for every selected strip, and nothing done yet."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import bpy

from layerflow.wire import Request
from layerflow.wire.asking import new_seed
from layerflow.wire.run import Render

from . import host, settings
from .asking import (
    WITH_STRIP,
    Source,
    Timeline,
    again,
    check_number,
    frames_of,
    inputs_pattern,
    left_of,
    request_of,
)
from .fields import TASKS
from .look import Look
from .placing import META
from .sources import selected, source_of
from .tickets import Ticket, of_strip

PLATE, GUIDE = "plate", "guide"


@dataclass(frozen=True)
class Plan:
    """One shot to ask for."""

    ticket: Ticket
    strips: Mapping[str, str] = field(default_factory=dict)  # what is rendered, "plate" or "guide" -> strip


def strips_for(scene: bpy.types.Scene, values: Mapping[str, Any]) -> list[bpy.types.Strip]:
    """The strips that Generate works on: the selected ones but the guide. ValueError where the task needs one."""
    if values["task"] not in WITH_STRIP:
        return []
    found = [strip for strip in selected(scene) if strip.name != values["guide"]]
    if not found:
        name = next(label for task, label, _ in TASKS if task == values["task"])
        raise ValueError(f"{name} works on a strip; select a movie, an image sequence, a scene or any other picture")
    return found


def plans(scene: bpy.types.Scene, values: Mapping[str, Any], taken: Collection[str]) -> list[Plan]:
    """What is to be asked for; `taken` are the outputs that jobs go to already. A ValueError says what is wrong."""
    timeline = host.timeline(scene)
    made: list[Plan] = []
    strips: list[Any] = [*strips_for(scene, values)] or [None]
    for strip in strips:
        made.append(_plan(scene, values, timeline, strip, [*taken, *(plan.ticket.request.output for plan in made)]))
    return made


def _plan(scene: bpy.types.Scene, values: Mapping[str, Any], timeline: Timeline, strip: Any, taken: list[str]) -> Plan:
    guide = _guide(scene, values) if values["task"] == "decompose" else ""
    source = None if strip is None else source_of(scene, strip, renders=bool(guide))
    frames = frames_of(values, timeline, source)
    name = str(values["shot"]).strip() or (source.name if source else str(values["foreground"]))
    output = settings.output_of(values, name, taken)
    ticket = Ticket(
        Request("generate", foreground="-", background="-", output=output),  # its own follows, once inputs have a place
        settings.file_name(name),
        scene.name,
        frame=frames[0],
        channel=1 if strip is None else strip.channel + 1,
        look=Look(fits=True) if source is None else source.look,
        lock_seed=bool(values["lock_seed"]),
        blend=bpy.data.filepath,
    )
    strips = _rendered_strips(source, guide)
    patterns = {what: inputs_pattern(output, what, ticket.key[:8]) for what in strips}
    renders = tuple(Render(what, pattern, _all(frames)) for what, pattern in patterns.items())
    request = request_of(values, timeline, frames, output, source, patterns)
    is_still = source is not None and source.media is not None and source.media.frame is None
    return Plan(replace(ticket, request=request, renders=renders, last=frames[1] if is_still else None), strips)


def _guide(scene: bpy.types.Scene, values: Mapping[str, Any]) -> str:
    """The name of the strip that is the guide; empty for none. ValueError where it is not there."""
    name = str(values["guide"]).strip()
    editor = scene.sequence_editor
    if name and (editor is None or name not in editor.strips_all):
        raise ValueError(f"there is no strip {name} to go by; choose another guide, or clear it")
    return name


def _rendered_strips(source: Source | None, guide: str) -> dict[str, str]:
    strips = {} if source is None or source.media is not None else {PLATE: source.name}
    return {**strips, GUIDE: guide} if guide else strips


def _all(frames: tuple[int, int | None]) -> tuple[int, ...]:
    first, last = frames
    check_number(first)
    return tuple(range(first, first if last is None else last + 1))


def plan_again(scene: bpy.types.Scene, strip: Any, taken: Collection[str]) -> Plan:
    """What a strip of ours came from, asked for once more by its own settings, where the strip is now.

    ValueError for a strip that is not ours, or whose rendered inputs are not there any more.
    """
    before = ticket_of(strip)
    for render in before.renders:
        if left_of(render).frames:
            raise ValueError(
                f"{os.path.dirname(render.pattern)} has not all rendered frames of the {render.input} any more; select "
                "the strip that they came from, and press Generate"
            )
    seed = before.request.seed if before.lock_seed else new_seed()
    request = again(Request.from_dict(before.request.to_dict()), seed, [*taken])
    moved = round(strip.frame_start) - before.frame
    is_layer = (of_strip(strip) or {}).get("layer") != META
    fresh = Ticket(
        request,
        before.name,
        scene.name,
        frame=before.frame + moved,
        last=None if before.last is None else before.last + moved,
        channel=before.channel,
        look=replace(Look.of(strip), fits=False) if is_layer and strip.type == "IMAGE" else before.look,
        lock_seed=before.lock_seed,
        blend=bpy.data.filepath,
        renders=before.renders,
    )
    return Plan(fresh)


def ticket_of(strip: Any) -> Ticket:
    """What a strip of ours came from. ValueError for any other strip."""
    said = of_strip(strip)
    if said is None:
        raise ValueError("that strip is none of LayerFlow's; select one that Generate has made")
    return Ticket.from_values(said["ticket"])
