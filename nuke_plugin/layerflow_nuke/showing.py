"""What a LayerFlow node lets through: its input, the frames of a version, or the picture of a job that runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, List, Optional, Tuple

from layerflow.wire.versions import Frames, at_version, with_version
from layerflow_nuke import host, inside
from layerflow_nuke.panel import LATEST
from layerflow_nuke.planning import shown_pattern, versions_of, views_of

if TYPE_CHECKING:
    import nuke

_LAYERS_KEY = "exr/layerflow:layers"  # of a Read's metadata: the layers in a frame, as the engine wrote them
_OWN = ("Premult_", "Check_")  # nodes inside that depend on which layers there are


def show_version(group: nuke.Group) -> Tuple[int, int]:
    """First and last frame of the version that the node is at, which it shows from now on.

    ValueError where there are no frames of it; then the node shows its input.
    """
    script, text = host.script(), with_version(str(host.values(group)["output"]))
    versions = versions_of(group, text, views_of(text, script)[0])
    there = versions.on_disk()
    version = _chosen(group, there)
    if version is None:
        host.set_values(host.inside(group, inside.SHOWN), {"which": inside.INPUT})
        raise ValueError(f"there are no frames like {versions.pattern(1)} yet; press Generate, or wait for the farm")
    frames = Frames.of(versions.pattern(version)).on_disk()
    pattern = shown_pattern(group, at_version(text, version), script)
    span = {"first": frames[0], "last": frames[-1], "origfirst": frames[0], "origlast": frames[-1]}
    host.set_values(host.inside(group, inside.RESULT_READ), {"file": pattern, **span, "raw": True})
    host.ask_for(group, inside.RESULT_READ)
    _fit_to(group, layers_of(group))
    host.set_values(host.inside(group, inside.SHOWN), {"which": inside.RESULT})
    return frames[0], frames[-1]


def layers_of(group: nuke.Group) -> List[str]:
    """The layers of the frames that the node reads."""
    found = host.metadata(host.inside(group, inside.RESULT_READ), _LAYERS_KEY)
    return [name for name in found.split(",") if re.fullmatch("[a-z]+[0-9]*", name)] or list(inside.FIRST_LAYERS)


def drop_preview(group: nuke.Group) -> None:
    """Shows no longer how a job looks so far; the frames of before, or the input."""
    has_frames = bool(host.inside(group, inside.RESULT_READ)["file"].value())
    at = inside.RESULT if has_frames else inside.INPUT
    host.set_values(host.inside(group, inside.SHOWN), {"which": at})
    host.set_values(host.inside(group, inside.PREVIEW_READ), {"file": ""})


def _chosen(group: nuke.Group, there: List[int]) -> Optional[int]:
    """The version that the pulldown is at, after it offers those that are there."""
    host.offer(group, "version", [LATEST, *(f"v{version:03d}" for version in reversed(there))])
    chosen = str(host.values(group)["version"])
    if chosen != LATEST:
        return int(chosen[1:])
    return there[-1] if there else None


def _fit_to(group: nuke.Group, layers: List[str]) -> None:
    """Makes the nodes inside fit the layers of the frames: further foregrounds, and what cannot be put back."""
    host.add_layers(layers)
    pieces = inside.pieces(layers)
    host.place_inside(group, pieces)
    host.remove_others(group, pieces, _OWN)
