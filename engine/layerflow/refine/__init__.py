"""A model's soft matte and colours, made at the plate's resolution by looking at the plate.

A model works small: its matte says where things are, within the size of its own pixels, and the plate says how they
look in detail. `matte` joins the two, and says how wrong the result may be; `colours` gives the foreground and
background that go with it, from which `recomposition` starts.
"""

from __future__ import annotations

from collections.abc import Sequence

from layerflow.layers import Pixels
from layerflow.refine.colours import colours
from layerflow.refine.guided import refined
from layerflow.refine.matte import Kind, Matte, plain

GRIDS: dict[Kind, tuple[float, ...]] = {"fast": (1.5,), "best": (1.0, 1.5, 2.0)}  # points per cell, where noise goes

__all__ = ["Kind", "Matte", "colours", "matte"]


def matte(pictures: Sequence[Pixels], mattes: Sequence[Pixels], at: int, *, kind: Kind, cell: float) -> Matte:
    """The matte of frame `at` at the size of its picture.

    `pictures` [H, W, 3], display-referred in [0, 1], and `mattes` [H, W] in [0, 1] are of that frame and of those
    beside it, which steady it and may be smaller; `cell` is the width in pixels of one pixel of the model that made the
    mattes, which were enlarged by bicubic interpolation. Where the matte is certain for a few cells around, the result
    is 0 or 1 exactly. Kind "off" takes the matte as it is, "best" removes its noise three times and takes the mean.
    """
    if len(pictures) != len(mattes) or not 0 <= at < len(mattes):
        raise ValueError(f"frame {at} needs a picture and a matte, got {len(pictures)} and {len(mattes)}")
    picture, soft = pictures[at], mattes[at]
    if picture.shape != (*soft.shape, 3) or not soft.size:
        raise ValueError(f"a matte [H, W] needs a picture [H, W, 3], got {soft.shape} and {picture.shape}")
    if not cell > 0:
        raise ValueError(f"cell must be above 0, got {cell}")
    if kind == "off":
        return plain(soft, cell)
    return refined(pictures, mattes, at, cell=cell, grids=GRIDS[kind])
