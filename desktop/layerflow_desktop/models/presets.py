"""Presets: how shots are made, under a name, without what is of one shot alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
