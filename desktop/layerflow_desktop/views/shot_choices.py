"""What the panel offers, in words."""

from __future__ import annotations

from layerflow_desktop.views.fields import Choice

TASKS: tuple[Choice, ...] = (
    ("generate", "Make all", "Make all layers from words alone."),
    ("decompose", "Take apart", "Take a plate apart: foreground, its matte, and a clean background."),
    ("background", "Background", "Make a background for a foreground that is there."),
    ("foreground", "Foreground", "Make a foreground for a background that is there."),
)
PLATE_LABELS = {"decompose": "Plate", "background": "Foreground", "foreground": "Background"}
PLATE_TIPS = "A sequence, a folder, one file or a movie"
GUIDE_TIP = "A matte of the foreground, as rough as you like; leave it empty where there is none"

QUALITIES: tuple[Choice, ...] = (
    ("exact", "Exact", "Leaves out nothing"),
    ("high", "High", "Leaves out what is hardly seen"),
    ("draft", "Draft", "Quick, for a first look"),
)
GUIDE_KINDS: tuple[Choice, ...] = (
    ("roto", "Roto", "A rough outline; what is near its edge is a guess"),
    ("trimap", "Trimap", "Black is out, white is in, grey is to be found"),
    ("garbage", "Garbage matte", "Black is out, white is to be found"),
)
REFINES: tuple[Choice, ...] = (
    ("off", "Off", "The matte as the model made it"),
    ("fast", "Fast", "The plate's own edges"),
    ("best", "Best", "Slightly better, in twice the time"),
)
FITS: tuple[Choice, ...] = (
    ("bucket", "Plate's shape", "The model works in the plate's own shape"),
    ("pad", "Pad", "The model's size, the plate's edges held outward"),
    ("crop", "Crop", "The middle of the plate, in the model's size"),
)
MEMORIES: tuple[Choice, ...] = (
    ("auto", "Automatic", "By what is free"),
    ("full", "Full", "Everything on the device"),
    ("balanced", "Balanced", "One network at a time"),
    ("low", "Low", "Piece by piece"),
)
PRECISIONS: tuple[Choice, ...] = (
    ("auto", "Automatic", "As the device does best"),
    ("float32", "float32", "Single precision"),
    ("bfloat16", "bfloat16", "Brain float"),
    ("float16", "float16", "Half precision"),
    ("float8", "float8", "8 bits in the big layers"),
)
SPACES = ("ACEScg", "ACES2065-1", "lin_rec709")
