"""Presets: how shots are made, under a name, without what is of one shot alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from layerflow.wire import Request
from layerflow_desktop.models.document import ShotSettings

MAKING = (
    "model",
    "quality",
    "steps",
    "guidance",
    "motion",
    "refine",
    "closeup",
    "output_colorspace",
    "fit",
    "memory",
    "precision",
    "device",
    "backend",
    "lora",
)


def preset_of(shot: ShotSettings) -> dict[str, Any]:
    """How a shot is made, ready for JSON."""
    return {name: value for name, value in shot.model_dump(mode="json").items() if name in MAKING}


def with_preset(shot: ShotSettings, preset: Mapping[str, Any]) -> ShotSettings:
    """The shot, made in that way; what the preset leaves out stays. ValueError for values that cannot be."""
    return shot.with_(**{name: preset[name] for name in MAKING if name in preset})


BUILT_IN: Mapping[str, Mapping[str, Any]] = {
    "First look": {"quality": "draft", "refine": "off", "closeup": False, "steps": None, "guidance": None},
    "Final": {"quality": "exact", "refine": "best", "steps": None, "guidance": None},
}

_PLAIN = ("background", "blended", "seed", "guide_kind", "first_frame", "last_frame", "num_frames", "fps")


def settings_of(request: Request, shot: ShotSettings) -> ShotSettings:
    """The settings that would ask for the same, output and seed lock as they are. ValueError where none would."""
    if request.task == "edit":
        raise ValueError("that job made one layer anew; lock its layers and press Regenerate for the same")
    names = (*_PLAIN, *MAKING)
    first, *further = request.foregrounds or (request.foreground,)
    return shot.with_(
        **{name: getattr(request, name) for name in names},
        task=request.task,
        foreground=first,
        further=tuple(further),
        plate=request.plate or "",
        guide=request.guide or "",
        colorspace=request.colorspace or "",
    )
