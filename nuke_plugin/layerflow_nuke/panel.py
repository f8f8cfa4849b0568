"""The knobs of a LayerFlow node, as data: what each is called, holds at first and means.

Names that a request has are the request's own, so that the help of the command line, the API and the node agree.
"""

from __future__ import annotations

from typing import Any, Dict, Iterator, Tuple

from layerflow.wire.request import CHOICES
from layerflow_nuke.farm_panel import FARM
from layerflow_nuke.knobs import Knob

MARK = "layerflow"  # the knob that tells a LayerFlow node from other groups; it holds the version of the panel
PANEL_VERSION = "1"
LATEST = "latest"  # the first choice of `version`

_TASKS = ("decompose", "background", "foreground", "generate")  # in the order of the inputs that they show
_PLATE = ("decompose",)

SHOT = (
    Knob("tab", "layerflow_shot", "LayerFlow"),
    Knob(
        "choice",
        "task",
        "task",
        "What to make.<br><b>decompose</b>: takes the Plate apart into layers that put it back together.<br>"
        "<b>generate</b>: makes all layers from the prompts.<br><b>background</b>: makes a background for the "
        "Foreground input.<br><b>foreground</b>: makes a foreground for the Background input.",
        default="decompose",
        choices=_TASKS,
    ),
    Knob(
        "multiline",
        "foreground",
        "foreground",
        "What the foreground shows, in a few words. Several lines are several foregrounds, front to back.",
        default="",
    ),
    Knob(
        "string",
        "background",
        "background",
        "What the background shows, in a few words.",
        default="",
    ),
    Knob("string", "blended", "blended", "What the whole picture shows; may stay empty.", default=""),
    Knob("divider", "shot_divider"),
    Knob(
        "string",
        "model",
        "model",
        "The model: a name that <code>layerflow models list</code> shows, or a folder.",
        default="mini",
    ),
    Knob(
        "choice",
        "quality",
        "quality",
        "How much work is left out: exact leaves out nothing, high little that is seen, draft much.",
        default="exact",
        choices=CHOICES["quality"],
    ),
    Knob("int", "seed", "seed", "The same seed and knobs make the same frames, to the bit.", default=0),
    Knob("bool", "lock_seed", "lock", "Keep this seed. Off: every Generate takes a new one.", True, same_line=True),
    Knob("button", "new_seed", "New", "Takes a new seed now, locked or not.", same_line=True),
    Knob("int", "steps", "steps", "Sampling steps; 0 takes the model's own number.", default=0, range=(0, 100)),
    Knob(
        "double",
        "guidance",
        "guidance",
        "How closely the prompts are followed; 0 takes the model's own schedule.",
        default=0.0,
        range=(0.0, 20.0),
    ),
    Knob("divider", "range_divider"),
    Knob(
        "choice",
        "frame_range",
        "frame range",
        "Which frames to make: those of the input, those of the script (root), or the two below, both inclusive.",
        default="input",
        choices=("input", "root", "custom"),
    ),
    Knob("int", "first_frame", "", "First frame of a custom range.", default=1, same_line=True),
    Knob("int", "last_frame", "-", "Last frame of a custom range; it is made too.", default=16, same_line=True),
    Knob(
        "file",
        "output",
        "output",
        "Where the layers go: EXR frames with one %04d or ####. The number behind <b>_v</b> goes up with every "
        "Generate; %V is the view, and expressions in brackets are worked out. The default is beside the script.",
        default="[file dirname [value root.name]]/layerflow/[value name]_v001.%04d.exr",
    ),
    Knob(
        "choice",
        "version",
        "version",
        "Which version the node shows: the latest, or an earlier one to go back to.",
        default=LATEST,
        choices=(LATEST,),
    ),
    Knob("divider", "action_divider"),
    Knob(
        "button",
        "generate",
        "Generate",
        "Renders the inputs that are needed, asks the engine for the layers, and returns.",
    ),
    Knob(
        "button",
        "submit",
        "Submit to farm",
        "Renders the inputs that are needed, and writes the next version as a job for a render farm, as the tab Farm "
        "says. Reload shows the frames once they are there.",
        same_line=True,
    ),
    Knob("button", "cancel", "Cancel", "Ends the job at its next step; frames that are whole stay.", same_line=True),
    Knob("button", "reload", "Reload", "Reads the frames of this version again.", same_line=True),
    Knob("button", "open_folder", "Open folder", "Shows the frames in the file browser.", same_line=True),
    Knob(
        "button",
        "recomp_check",
        "Recomp check",
        "Puts the layers back together and says how far that is from the plate, on the first, middle and last frame.",
        same_line=True,
        tasks=_PLATE,
    ),
    Knob("string", "status", "status", "How far the job is, or what went wrong and what to do.", default=""),
)

LAYERS = (
    Knob("tab", "layerflow_layers", "Layers"),
    Knob(
        "choice",
        "show",
        "rgba shows",
        "Which layer is the node's rgba; all of them are in the stream under their names anyway.",
        default="blended",
        choices=("blended", "foreground", "background"),
    ),
    Knob(
        "choice",
        "alpha",
        "alpha",
        "How foreground layers leave the node. The files always hold straight alpha; premultiplied multiplies here.",
        default="straight",
        choices=CHOICES["alpha"],
    ),
    Knob(
        "choice",
        "preview_layer",
        "running preview",
        "Which layer the node shows while a job runs; off shows what it showed before.",
        default="foreground",
        choices=("off", "blended", "foreground", "alpha", "background"),
    ),
    Knob(
        "button",
        "build_tree",
        "Build comp tree",
        "Places the usual nodes beside this one: a Shuffle per layer, Premult, Merge over, and a difference from the "
        "plate.",
    ),
    Knob("divider", "guide_divider"),
    Knob(
        "choice",
        "guide_channel",
        "guide channel",
        "Which channel of the Guide input is the matte.",
        default="alpha",
        choices=("alpha", "red", "green", "blue"),
        tasks=_PLATE,
    ),
    Knob(
        "choice",
        "guide_kind",
        "guide is a",
        "<b>roto</b>: a soft outline. <b>trimap</b>: 0 out, 1 in, unknown between. <b>garbage</b>: 0 out, the rest "
        "unknown.",
        default="roto",
        choices=CHOICES["guide_kind"],
        tasks=_PLATE,
    ),
    Knob(
        "choice",
        "refine",
        "edge detail",
        "How the matte gets the plate's own detail.",
        default="fast",
        choices=CHOICES["refine"],
        tasks=_PLATE,
    ),
    Knob(
        "bool",
        "closeup",
        "second look",
        "Makes the part of the plate where the foreground is once more, larger. For one foreground.",
        default=False,
        tasks=_PLATE,
    ),
    Knob(
        "choice",
        "fit",
        "fit",
        "How a plate of another shape than the model's meets it.",
        default="bucket",
        choices=CHOICES["fit"],
    ),
)

ENGINE = (
    Knob("tab", "layerflow_engine", "Engine"),
    Knob(
        "string",
        "colorspace",
        "colour space",
        "The linear space this script works in, by its name in OCIO. Empty takes the one of the project settings. The "
        "plate is handed over in it and the layers come back in it, so no colour is converted in Nuke.",
        default="",
    ),
    Knob("multiline", "lora", "LoRAs", "One file or folder a line, each with :WEIGHT behind it or not.", default=""),
    Knob(
        "double",
        "motion",
        "still",
        "Scale of the model's Motion LoRA: 0 moving pictures, 1 still ones.",
        0.0,
        range=(0.0, 1.0),
    ),
    Knob(
        "choice",
        "memory",
        "memory plan",
        "Where the networks are while a shot is made; auto picks by what is free.",
        "auto",
        CHOICES["memory"],
    ),
    Knob(
        "choice",
        "precision",
        "precision",
        "Number format of the network; auto picks by the device.",
        "auto",
        CHOICES["precision"],
    ),
    Knob("string", "device", "device", "auto, cpu, or cuda:0 and so on.", default="auto"),
    Knob(
        "string",
        "backend",
        "backend",
        "What runs the network: auto, eager, onnxruntime, tensorrt and so on.",
        default="auto",
    ),
    Knob(
        "bool",
        "per_layer",
        "also one sequence per layer",
        "Writes single-layer RGBA EXRs beside the layered ones.",
        False,
    ),
    Knob("bool", "preview", "also a movie and a contact sheet", "Writes both beside the frames.", False),
    Knob(
        "bool",
        "fresh_inputs",
        "render all inputs anew",
        "Off: frames of an input that has not changed are kept.",
        False,
    ),
    Knob(
        "string",
        "server",
        "server",
        "Empty: the engine of this user, started when needed. Or the runtime folder (LAYERFLOW_RUNTIME) of another "
        "one on this machine.",
        default="",
    ),
)

KEPT = (
    Knob("string", MARK, default=PANEL_VERSION, hidden=True),
    Knob("string", "jobs", default="", hidden=True),  # ids of the last run's jobs, one for each view
    Knob("string", "state", default="", hidden=True),  # of the last run, one of those in status.py
    Knob("file", "scratch", default="", hidden=True),  # where paths are worked out
)

PANEL = (*SHOT, *LAYERS, *ENGINE, *FARM, *KEPT)


def defaults() -> Dict[str, Any]:
    """What every knob that holds something holds at first."""
    return {knob.name: knob.default for knob in PANEL if knob.is_value}


def counting(task: str) -> Iterator[Tuple[str, bool]]:
    """Each knob and whether it counts for `task`."""
    for knob in PANEL:
        yield knob.name, task in knob.tasks
