"""From a node to what one press of Generate does: its version, its inputs, and a request for each view."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Tuple

from layerflow.wire.asking import new_seed
from layerflow.wire.farm import Farm
from layerflow.wire.run import Render, Shot
from layerflow.wire.versions import Frames, Versions, at_version, check_here, with_version
from layerflow_nuke import host
from layerflow_nuke.asking import (
    GUIDE,
    INPUTS,
    SHOWN,
    Script,
    frames_of,
    needed_inputs,
    request_of,
)
from layerflow_nuke.farm_panel import farm_of
from layerflow_nuke.panel import LATEST
from layerflow_nuke.paths import for_view, has_view, portable

if TYPE_CHECKING:
    import nuke

_A_VIEW = "LAYERFLOW_VIEW"  # stands for %V while a path is worked out


def versions_of(group: nuke.Group, text: str, view: str) -> Versions:
    """All versions of the output `text` for a view. ValueError where it is no output of this system."""
    versions = Versions.of(text, lambda version: for_view(host.worked_out(group, version, view), view))
    check_here(versions.pattern(1))
    return versions


def shown_pattern(group: nuke.Group, text: str, script: Script) -> str:
    """The path for a Read inside the node: worked out, the view still %V, and by the script's folder where it can."""
    found = host.worked_out(group, text.replace("%V", _A_VIEW), script.views[0])
    return portable(found.replace(_A_VIEW, "%V"), script.path)


def views_of(text: str, script: Script) -> Tuple[str, ...]:
    """The views that are made: all where the output names them, else the first."""
    return script.views if has_view(text) else script.views[:1]


def plan(group: nuke.Group, values: Mapping[str, Any], script: Script) -> List[Shot]:
    """What is to be done, a shot for each view; the node is at its new version and seed then.

    A ValueError says what is missing or wrong, and then the node is as it was.
    """
    if script.is_proxy and needed_inputs(str(values["task"]), INPUTS):
        raise ValueError("proxy mode is on, so the inputs would be rendered small; switch it off, then press Generate")
    values = dict(values)
    if not values["lock_seed"]:
        values["seed"] = new_seed()
    text = with_version(str(values["output"]))
    views = views_of(text, script)
    versions = {view: versions_of(group, text, view) for view in views}
    version = max(each.next() for each in versions.values())
    frames = frames_of(values, script, _range_of_input(group, str(values["task"])))
    shots = [_shot(group, values, script, frames, view, versions[view], version) for view in views]
    host.set_values(group, {"output": at_version(text, version), "seed": values["seed"], "version": LATEST})
    return shots


def farms(group: nuke.Group, values: Mapping[str, Any], script: Script) -> Dict[str, Farm]:
    """The farm for each of the views that are made, which have folders of their own. ValueError where it cannot be."""
    views, text = views_of(str(values["output"]), script), str(values["farm_folder"]).strip()
    if text and len(views) > 1 and not has_view(text):
        text += "/%V"
    return {view: farm_of(values, for_view(host.worked_out(group, text, view), view) if text else "") for view in views}


def _range_of_input(group: nuke.Group, task: str) -> Optional[Tuple[int, int]]:
    shown = SHOWN.get(task)
    return None if shown is None else host.input_range(group, INPUTS.index(shown))


def _shot(
    group: nuke.Group,
    values: Mapping[str, Any],
    script: Script,
    frames: Tuple[int, int],
    view: str,
    versions: Versions,
    version: int,
) -> Shot:
    wanted = needed_inputs(str(values["task"]), host.connected(group, INPUTS))
    patterns = {name: _input_pattern(group, values, versions, name, view) for name in wanted}
    request = request_of(values, script, frames, versions.pattern(version), patterns)
    renders = tuple(_render(name, pattern, frames, bool(values["fresh_inputs"])) for name, pattern in patterns.items())
    return Shot(view, request, renders)


def _input_pattern(group: nuke.Group, values: Mapping[str, Any], versions: Versions, name: str, view: str) -> str:
    """Where an input is rendered to: another place for every picture that it could be."""
    of_guide = str(values["guide_channel"]) if name == GUIDE else ""
    text = "\n".join((host.fingerprint(group, INPUTS.index(name)), of_guide, view))
    return f"{versions.inputs_folder()}/{name.lower()}_{zlib.crc32(text.encode('utf-8')):08x}.%04d.exr"


def _render(name: str, pattern: str, frames: Tuple[int, int], anew: bool) -> Render:
    wanted = tuple(range(frames[0], frames[1] + 1))
    return Render(name, pattern, wanted if anew else Frames.of(pattern).missing(wanted))
