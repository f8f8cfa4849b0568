"""A take pasted into Nuke, which a stand-in reads: the picture is the engine's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from layerflow import exr, layers
from layerflow.comp import Comp, comped
from layerflow.layers import LayerStack, PictureFormat
from layerflow_desktop.models.document import LayerState
from layerflow_desktop.models.exports import comp_text
from layerflow_desktop.models.nuke_script import nuke_nodes

HEIGHT, WIDTH = 10, 16
STAND_IN = Path(__file__).parents[1] / "nuke_plugin" / "stand_in"


@pytest.fixture
def nuke(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A Nuke that was just started."""
    monkeypatch.syspath_prepend(str(STAND_IN))
    import nuke
    from nuke import _stand_in

    _stand_in.reset()
    yield nuke
    _stand_in.reset()


@pytest.fixture
def stack(tmp_path: Path) -> LayerStack:
    """A frame of two foregrounds and a residual, on disk in a folder that needs quoting."""
    rng = np.random.default_rng(3)
    named = {name: rng.random((1, HEIGHT, WIDTH, 4), np.float32) for name in ("foreground1", "foreground2")}
    named |= {name: rng.random((1, HEIGHT, WIDTH, 3), np.float32) for name in ("background", "residual")}
    folder = tmp_path / "shots [a] $1"
    folder.mkdir()
    stack = LayerStack(layers=named, frames=(1001,), format=PictureFormat(width=WIDTH, height=HEIGHT))
    exr.write_frame(folder / "dog.1001.exr", stack, 0, header={})
    return exr.read_stack([folder / "dog.1001.exr"])


def pasted(nuke: Any, tmp_path: Path, states: list[LayerState], **options: Any) -> Any:
    """The last node of what is pasted."""
    nuke.addFormat(f"{WIDTH} {HEIGHT} 0 0 {WIDTH} {HEIGHT} 1 plate")
    nuke.root()["format"].setValue("plate")
    pattern = str(tmp_path / "shots [a] $1" / "dog.%04d.exr")
    text = nuke_nodes(pattern, 1001, 1001, states, size=(WIDTH, HEIGHT), **options)
    nuke.scriptReadText(text)
    nuke.frame(1001)
    last = [node for node in nuke.allNodes() if not node.dependent()]
    assert len(last) == 1
    return last[0]


def picture(node: Any) -> np.ndarray:
    found = node._picture(1001)
    return np.stack([found.channels[f"rgba.{name}"] for name in ("red", "green", "blue")], axis=-1)


PLAIN = [LayerState(name=name) for name in ("foreground1", "foreground2", "background", "residual")]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"foreground1": {"opacity": 0.25}},
        {"foreground2": {"offset_x": 3.0, "offset_y": -2.0}},
        {"foreground1": {"offset_x": -1.5, "offset_y": 2.25, "scale": 0.6, "opacity": 0.7}},
        {"background": {"offset_y": 1.5, "scale": 1.75}},
        {"foreground1": {"visible": False}},
        {"foreground2": {"solo": True}},
        {"residual": {"visible": False}},
    ],
)
def test_the_picture_is_the_engines(nuke, tmp_path, stack, changes) -> None:
    states = [state.with_(**changes.get(state.name, {})) for state in PLAIN]
    made = comped(stack, Comp.from_dict(json.loads(comp_text(states))))
    expected = made.layers["blended"] if changes else layers.recompose(stack)
    np.testing.assert_allclose(picture(pasted(nuke, tmp_path, states)), expected[0], atol=2e-5)


def test_the_order_is_the_projects(nuke, tmp_path, stack) -> None:
    states = [PLAIN[1], PLAIN[0], *PLAIN[2:]]
    made = comped(stack, Comp.from_dict(json.loads(comp_text(states))))
    np.testing.assert_allclose(picture(pasted(nuke, tmp_path, states)), made.layers["blended"][0], atol=2e-5)


def test_the_read_says_what_it_reads(nuke, tmp_path, stack) -> None:
    pasted(nuke, tmp_path, PLAIN, fps=23.976, colorspace="lin_rec709")
    (read,) = nuke.allNodes("Read")
    assert read["file"].evaluate(1001) == str(tmp_path / "shots [a] $1" / "dog.1001.exr")
    assert (read["first"].value(), read["last"].value(), read["raw"].value()) == (1001, 1001, True)
    assert read["label"].value() == "lin_rec709, 23.976 fps"


def test_only_the_nodes_that_are_needed(nuke, tmp_path, stack) -> None:
    pasted(nuke, tmp_path, PLAIN[:3])
    kinds = sorted(node.Class() for node in nuke.allNodes())
    assert kinds == ["Merge2"] * 2 + ["Premult"] * 2 + ["Read"] + ["Shuffle2"] * 3


def test_premultiplied_files_are_not_multiplied_again(nuke, tmp_path, stack) -> None:
    pasted(nuke, tmp_path, PLAIN[:3], premultiplied=True)
    assert not nuke.allNodes("Premult")


def test_pasting_leaves_what_was_selected_alone(nuke, tmp_path, stack) -> None:
    other = nuke.createNode("NoOp", inpanel=False)
    pattern = str(tmp_path / "shots [a] $1" / "dog.%04d.exr")
    path = tmp_path / "clipboard.nk"
    path.write_text(nuke_nodes(pattern, 1001, 1001, PLAIN, size=(WIDTH, HEIGHT)))
    nuke.nodePaste(str(path))
    assert not other.dependent() and len(nuke.allNodes()) > 5


def test_a_path_of_windows() -> None:
    text = nuke_nodes("D:\\shots\\dog.%04d.exr", 1, 2, PLAIN[:1], size=(2, 2))
    assert " file D:/shots/dog.%04d.exr\n" in text


def test_nothing_to_be_seen_is_refused() -> None:
    with pytest.raises(ValueError, match="every layer is hidden"):
        nuke_nodes("dog.%04d.exr", 1, 2, [LayerState(name="foreground", visible=False)], size=(2, 2))
