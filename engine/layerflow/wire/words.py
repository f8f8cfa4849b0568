"""What the choices of a request are called and mean, for panels: no full stops, as hosts have it in their menus."""

from __future__ import annotations

from typing import Dict, Tuple

Choice = Tuple[str, str, str]  # its value in a request, its name, what it means

# Field of a request -> its choices, in the order of `request.CHOICES`.
WORDS: Dict[str, Tuple[Choice, ...]] = {
    "quality": (
        ("exact", "Exact", "Leaves out nothing"),
        ("high", "High", "Leaves out what is hardly seen"),
        ("draft", "Draft", "Quick, for a first look"),
    ),
    "guide_kind": (
        ("roto", "Roto", "A rough outline; what is near its edge is a guess"),
        ("trimap", "Trimap", "Black is out, white is in, grey is to be found"),
        ("garbage", "Garbage matte", "Black is out, white is to be found"),
    ),
    "refine": (
        ("off", "Off", "The matte as the model made it"),
        ("fast", "Fast", "The plate's own edges"),
        ("best", "Best", "Slightly better, in twice the time"),
    ),
    "fit": (
        ("bucket", "Plate's shape", "The model works in the plate's own shape"),
        ("pad", "Pad", "The model's size, the plate's edges held outward"),
        ("crop", "Crop", "The middle of the plate, in the model's size"),
    ),
    "memory": (
        ("auto", "Automatic", "By what is free"),
        ("full", "Full", "Everything on the device"),
        ("balanced", "Balanced", "One network at a time"),
        ("low", "Low", "Piece by piece"),
    ),
    "precision": (
        ("auto", "Automatic", "As the device does best"),
        ("float32", "float32", "Single precision"),
        ("bfloat16", "bfloat16", "Brain float"),
        ("float16", "float16", "Half precision"),
        ("float8", "float8", "8 bits in the big layers"),
    ),
}
