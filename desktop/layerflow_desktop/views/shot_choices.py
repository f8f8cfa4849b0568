"""What the panel offers, in words."""

from __future__ import annotations

from layerflow.wire.words import WORDS, Choice

TASKS: tuple[Choice, ...] = (
    ("generate", "Make all", "Make all layers from words alone."),
    ("decompose", "Take apart", "Take a plate apart: foreground, its matte, and a clean background."),
    ("background", "Background", "Make a background for a foreground that is there."),
    ("foreground", "Foreground", "Make a foreground for a background that is there."),
)
PLATE_LABELS = {"decompose": "Plate", "background": "Foreground", "foreground": "Background"}
PLATE_TIPS = "A sequence, a folder, one file or a movie"
GUIDE_TIP = "A matte of the foreground, as rough as you like; leave it empty where there is none"

QUALITIES, GUIDE_KINDS, REFINES = WORDS["quality"], WORDS["guide_kind"], WORDS["refine"]
FITS, MEMORIES, PRECISIONS = WORDS["fit"], WORDS["memory"], WORDS["precision"]
SPACES = ("ACEScg", "ACES2065-1", "lin_rec709")
