"""Writes examples/nuke/parrot.nk: the example plate, a LayerFlow node on it, and the comp tree beside it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).parents[2] / "examples" / "nuke" / "parrot.nk"
PLATE = "[file dirname [value root.name]]/../plate/plate.####.png"


def example(nuke: Any) -> str:
    """The text of the script, made in an empty one."""
    from nuke._script_write import script_text

    from layerflow_nuke import node

    nuke.addFormat("480 320 0 0 480 320 1 parrot")
    root = nuke.root()
    for name, value in {"format": "parrot", "first_frame": 1001, "last_frame": 1016}.items():
        root[name].setValue(value)
    read = nuke.createNode("Read", inpanel=False)
    for name, value in {"file": PLATE, "first": 1001, "last": 1016, "colorspace": "sRGB", "name": "Plate"}.items():
        read[name].setValue(value)
    read.setXYpos(0, 0)
    group = node.place()
    group.setXYpos(0, 120)
    for name, value in {"foreground": "a parrot", "background": "a desert"}.items():
        group[name].setValue(value)
    node.build_tree(group)
    for each in nuke.allNodes():
        each.setSelected(False)
    return str(script_text())


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent / "stand_in"))
    import nuke
    from nuke import _stand_in

    _stand_in.reset()
    EXAMPLE.parent.mkdir(exist_ok=True)
    EXAMPLE.write_text(example(nuke), encoding="utf-8")
