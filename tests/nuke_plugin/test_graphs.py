"""The pictures of graphs in the docs are drawn from what the plug-in makes today."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from layerflow_nuke import inside

IMAGES = Path(__file__).parents[2] / "docs" / "images"


@pytest.mark.parametrize("name", ["comp", "inside"])
def test_the_picture_is_of_todays_nodes(name):
    script = runpy.run_path(str(IMAGES / "nuke_graphs.py"))
    pieces = script["comp"](inside.FIRST_LAYERS) if name == "comp" else inside.pieces()
    drawn = (IMAGES / f"nuke-{name}.svg").read_text(encoding="utf-8")
    assert drawn == script["drawn"](pieces), "run docs/images/nuke_graphs.py"


def test_every_pipe_of_the_tree_ends_somewhere():
    """Of two foregrounds and a residual too: no piece is connected to what is not there."""
    pieces = inside.pieces(("foreground1", "foreground2", "background", "blended", "residual"))
    names = [piece.name for piece in pieces]
    assert len(set(names)) == len(names)
    assert {source for piece in pieces for source in piece.inputs if source} <= set(names)
    places = [piece.at for piece in pieces]
    assert len(set(places)) == len(places)  # none lies on another
