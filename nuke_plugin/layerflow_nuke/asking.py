"""From the values of a node's knobs to the request that the engine gets. Nothing of Nuke."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Tuple

from layerflow.wire import Request
from layerflow.wire.asking import told_apart
from layerflow.wire.checks import check_order
from layerflow.wire.matte import write_matte

# Input of the node by task, and whether the task can do without it.
PLATE, FOREGROUND, BACKGROUND, GUIDE = "Plate", "Foreground", "Background", "Guide"
INPUTS = (PLATE, FOREGROUND, BACKGROUND, GUIDE)
SHOWN = {"decompose": PLATE, "background": FOREGROUND, "foreground": BACKGROUND}

# What Nuke calls linear spaces, by its own config and by the ACES ones, and what everybody else does.
LINEAR_NAMES = {
    "linear": "lin_rec709",
    "lin_srgb": "lin_rec709",
    "Utility - Linear - sRGB": "lin_rec709",
    "Utility - Linear - Rec.709": "lin_rec709",
    "scene_linear": "ACEScg",
    "compositing_linear": "ACEScg",
    "rendering": "ACEScg",
    "ACES - ACEScg": "ACEScg",
    "ACES - ACES2065-1": "ACES2065-1",
    "aces_interchange": "ACES2065-1",
}

_AS_THEY_ARE = (
    "task",
    "blended",
    "model",
    "seed",
    "quality",
    "fit",
    "refine",
    "closeup",
    "memory",
    "precision",
    "device",
    "backend",
    "motion",
    "per_layer",
    "preview",
)
_OF_DECOMPOSE = ("refine", "closeup")


@dataclass(frozen=True)
class Script:
    """What of the script and its settings a request depends on."""

    path: str = ""  # empty where it was never saved
    first_frame: int = 1
    last_frame: int = 100
    fps: float = 24.0
    working_space: str = "linear"
    views: Tuple[str, ...] = ("main",)
    is_proxy: bool = False  # whether Nuke renders small frames just now


def working_space(values: Mapping[str, Any], script: Script) -> str:
    """The linear space in which pixels go to the engine and come back, by its name in OCIO."""
    chosen = str(values["colorspace"]).strip() or script.working_space
    name = chosen.rpartition("/")[2]  # Nuke shows families too: "ACES/ACES - ACEScg"
    return LINEAR_NAMES.get(name, name)


def frames_of(values: Mapping[str, Any], script: Script, of_input: Optional[Tuple[int, int]]) -> Tuple[int, int]:
    """First and last frame to make, inclusive. ValueError where there are none."""
    chosen = values["frame_range"]
    if chosen == "custom":
        found = int(values["first_frame"]), int(values["last_frame"])
    elif chosen == "input" and of_input is not None:
        found = of_input
    else:
        found = script.first_frame, script.last_frame
    check_order(*found)
    if found[0] < 0:
        raise ValueError(f"frame {found[0]} is below 0, which no file can be numbered by; move the shot up in time")
    return found


def request_of(
    values: Mapping[str, Any], script: Script, frames: Tuple[int, int], output: str, shown: Mapping[str, str]
) -> Request:
    """The request for one view. `shown` is the pattern of each input that was rendered for it.

    A ValueError says in one sentence what is missing or wrong.
    """
    task = str(values["task"])
    given = {name: values[name] for name in _AS_THEY_ARE if task == "decompose" or name not in _OF_DECOMPOSE}
    space = working_space(values, script)
    guide = shown.get(GUIDE)
    return Request(
        **given,
        **_prompts(values),
        plate=shown.get(SHOWN.get(task, "")),
        guide=None if guide is None else write_matte(guide, "A"),
        guide_kind=values["guide_kind"] if guide is not None else "roto",
        first_frame=frames[0],
        last_frame=frames[1],
        steps=int(values["steps"]) or None,
        guidance=float(values["guidance"]) or None,
        fps=float(script.fps),
        colorspace=None if task == "generate" else space,
        output_colorspace=space,
        output=output,
        lora=tuple(line.strip() for line in str(values["lora"]).splitlines() if line.strip()),
    )


def _prompts(values: Mapping[str, Any]) -> Dict[str, Any]:
    """The prompts that the task takes: a foreground of several lines is several foregrounds."""
    lines = [line.strip() for line in str(values["foreground"]).splitlines() if line.strip()]
    return {
        **told_apart(str(values["task"]), lines, " ".join(lines)),
        "background": str(values["background"]).strip(),
    }


def needed_inputs(task: str, connected: Tuple[str, ...]) -> Tuple[str, ...]:
    """The inputs that have to be rendered. ValueError where one is not connected that `task` cannot do without."""
    shown = SHOWN.get(task)
    if shown is None:
        return ()
    if shown not in connected:
        raise ValueError(f"{task} needs the {shown} input; connect a Read to it")
    return (shown, GUIDE) if task == "decompose" and GUIDE in connected else (shown,)
