"""The settings of a shot, as data: what each is called, holds at first and means.

Names that a request has are the request's own, so that the help of the command line, the API and the panel agree.
"""

from __future__ import annotations

from dataclasses import dataclass

from layerflow.wire.asking import MAX_SEED
from layerflow.wire.words import WORDS, Choice

from .asking import CUSTOM, FROM_SCENE, FROM_STRIP

KINDS = ("text", "folder", "int", "float", "bool", "choice")
DEFAULT_MODEL = "mini"
DEFAULT_FOLDER = "//layerflow/"

Value = str | int | float | bool


@dataclass(frozen=True)
class Field:
    """One setting."""

    kind: str  # one of KINDS
    name: str
    label: str
    help: str  # without a full stop, as Blender's own
    default: Value = ""
    choices: tuple[Choice, ...] = ()
    low: float = 0
    high: float = 0
    suggests: str = ""  # of a text: what is offered while it is typed, "prompts" or "models"


TASKS = (
    ("decompose", "Take a plate apart", "Foreground and clean background of the selected strips"),
    ("generate", "Make all layers", "Foreground and background from the prompts alone; no strip is needed"),
    ("background", "Make a background", "A background for the selected strip, which is the foreground"),
    ("foreground", "Make a foreground", "A foreground for the selected strip, which is the background"),
)
RANGES = (
    (FROM_STRIP, "Strip", "The frames that the strip shows; without a strip so many as below, from the playhead on"),
    (FROM_SCENE, "Scene", "Those of the scene's frame range, or its preview range"),
    (CUSTOM, "Custom", "From the first to the last frame below, both included"),
)
CHANNELS = (
    ("R", "Brightness", "White is the foreground, black is not; colours are taken as numbers"),
    ("A", "Alpha", "Its alpha is the matte, such as that of an earlier foreground"),
)
PREVIEWS = (
    ("off", "Off", "No picture while a job runs"),
    ("foreground", "Foreground", "How the foreground looks so far"),
    ("background", "Background", "How the background looks so far"),
    ("blended", "Blended", "How the blended picture looks so far"),
)

SHOT = (
    Field("choice", "task", "Task", "What to make", "decompose", TASKS),
    Field("text", "foreground", "Foreground", "What the foreground shows, in a few words", suggests="prompts"),
    Field("text", "background", "Background", "What the background shows, in a few words", suggests="prompts"),
    Field(
        "text", "blended", "Blended", "What the whole picture shows, in a few words; may stay empty", suggests="prompts"
    ),
)
MAKING = (
    Field("text", "model", "Model", "A model's name or folder; empty is the one in the preferences", suggests="models"),
    Field("choice", "quality", "Quality", "How much work is left out", "exact", WORDS["quality"]),
    Field("int", "seed", "Seed", "The same seed and settings make the same frames, to the bit", 0, (), 0, MAX_SEED),
    Field("bool", "lock_seed", "Lock Seed", "Keep this seed; otherwise every Generate takes a new one", True),
    Field("int", "steps", "Steps", "Sampling steps; 0 takes the model's own number", 0, (), 0, 1000),
    Field(
        "float",
        "guidance",
        "Guidance",
        "How closely the prompts are followed; 0 takes the model's own schedule",
        0.0,
        (),
        0,
        100,
    ),
    Field("float", "motion", "Stillness", "0 is a moving picture, as released, and 1 a still", 0.0, (), 0, 1),
)
PLACE = (
    Field("choice", "frame_range", "Frames", "Which frames to make", FROM_STRIP, RANGES),
    Field("int", "first_frame", "First", "First frame of a custom range", 1, (), 0, 1_000_000),
    Field("int", "last_frame", "Last", "Last frame of a custom range, included", 16, (), 0, 1_000_000),
    Field(
        "int",
        "length",
        "Length",
        "Frames to make from the playhead on, where there is no strip; 0 is the model's own",
        0,
        (),
        0,
        100_000,
    ),
    Field("folder", "folder", "Folder", "Where the layers are written; empty is the one in the preferences"),
    Field("text", "shot", "Name", "What the files are called, before their version; empty is the name of the strip"),
)
MATTE = (
    Field("text", "guide", "Guide", "A strip that shows a matte of the foreground, as rough as you like"),
    Field("choice", "guide_kind", "Guide Is", "How far the guide is believed", "roto", WORDS["guide_kind"]),
    Field("choice", "guide_channel", "Guide Shows", "Where in its picture the guide is", "R", CHANNELS),
    Field("choice", "refine", "Refine", "How the matte gets its plate's detail", "fast", WORDS["refine"]),
    Field("bool", "closeup", "Close-up", "A second look at the part of the plate where the foreground is", False),
)
ENGINE = (
    Field("choice", "fit", "Fit", "How a plate of another shape meets the model's", "bucket", WORDS["fit"]),
    Field("choice", "memory", "Memory", "The memory plan", "auto", WORDS["memory"]),
    Field("choice", "precision", "Precision", "Of the network", "auto", WORDS["precision"]),
    Field("text", "device", "Device", "Which device makes it, such as cuda:1; auto is the best there is", "auto"),
    Field("text", "backend", "Backend", "What runs the network; auto is the fastest there is", "auto"),
    Field("text", "lora", "LoRA", "Files to merge into the model, FILE or FILE:WEIGHT, with ; between them"),
    Field("choice", "preview_layer", "Preview", "What is shown of a job while it runs", "blended", PREVIEWS),
)
FIELDS = (*SHOT, *MAKING, *PLACE, *MATTE, *ENGINE)
FURTHER = "further"  # a list of prompts besides `foreground`: more foregrounds, from front to back
