"""A rough roto as a guide: the true matte, grown on all sides by a twentieth of the height.

Of such a mask only what it leaves out can be believed, so it guides as a garbage matte. What is inside it is not: an
edge in the middle of the grown band would be the true one, and give the answer away. A model that was trained to be
given an alpha sees the rough one itself.
"""

from __future__ import annotations

from dataclasses import replace

from layerflow.evaluate.layer_scores import rough_matte
from layerflow.guides import Clamps, GuideKind, of_garbage
from layerflow.layers import Pixels
from layerflow.layout import Layout

SHARE = 0.05  # of the height
GUIDE_KIND: GuideKind = "garbage"


def rough_clamps(alpha: Pixels, layout: Layout) -> list[Clamps]:
    """What the rough matte of the true `alpha` [F, H, W] says of each frame, to a model of that layout."""
    rough = rough_matte(alpha, SHARE)
    takes_alpha = "alpha" in layout.layers and layout.is_given("alpha")
    return [replace(of_garbage(matte), guess=matte if takes_alpha else None) for matte in rough]
