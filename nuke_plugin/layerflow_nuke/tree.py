"""The usual nodes beside a LayerFlow node: its layers put together again, and how far that is from the plate."""

from __future__ import annotations

from typing import List, Optional, Sequence

from layerflow_nuke.graph import Piece
from layerflow_nuke.inside import comp_pieces, difference


def pieces(node: str, layers: Sequence[str], plate: Optional[str]) -> List[Piece]:
    """A Shuffle per layer of `node`, Premult, Merge over, and a difference from the node `plate` where there is one.

    Foregrounds are multiplied here only while the node lets them leave straight.
    """
    comp = comp_pieces(layers, node, prefix=f"{node}_", row=1, premultiplied=f"{node}.alpha")
    if plate is None:
        return comp
    column, row = comp[-1].at
    around = Piece("Dot", f"{node}_plate", (plate,), at=(column - 2, row + 1))  # past the node, not through it
    return [*comp, around, difference(f"{node}_difference", comp[-1].name, around.name, (column, row + 1))]
