"""The whole way through Nuke's stand-in, with a real engine and the bundled model."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import pytest
from comping import FIRST, finished, plate, press, saved_script, set_knobs
from server_process import home, serving  # noqa: F401  (a fixture)

from layerflow_nuke.inside import RUNNING

pytestmark = pytest.mark.slow
LAST = FIRST + 7
HALF = 2.0**-10  # half a unit in the last place of a half float, of values up to 1


@pytest.fixture
def engine(home):  # noqa: F811
    with serving("--root", str(home)) as served:
        yield served


@pytest.fixture
def node(nuke, engine, home):  # noqa: F811
    """A LayerFlow node on the example plate, as the menu places it, in a saved script."""
    from layerflow_nuke import startup
    from layerflow_nuke.node import runs

    startup.init()
    startup.menu()
    saved_script(nuke, home)
    plate(nuke)
    nuke.menu("Nodes").findItem("LayerFlow/LayerFlow").invoke()
    placed = nuke.toNode("LayerFlow1")
    set_knobs(placed, foreground="a parrot", background="a desert")
    yield placed
    for run in list(runs.values()):
        run.cancel()
        run.leave()
        run.thread.join(30)
    runs.clear()


def no_trouble():
    from nuke import _stand_in

    assert _stand_in.callback_errors() == [] and _stand_in.messages() == []


def pixels(node, frame=FIRST):
    from nuke import _stand_in

    return _stand_in.pixels(node, frame)


def test_from_a_plate_to_layers_a_comp_and_the_next_version(nuke, node, home):  # noqa: F811
    from nuke import _stand_in

    assert node.input(0).Class() == "Read"
    before = pixels(node)
    assert np.array_equal(before["rgba.red"], pixels(node.input(0))["rgba.red"])  # the plate, until there is more
    said = []
    press(node, "generate")
    assert node["version"].values() == ["latest"] and node["state"].value() != "done"  # it returned at once

    def over():
        said.append(node["status"].value())
        return node["state"].value() == "done"

    _stand_in.pump_until(over, 120)
    assert finished(node).startswith("done: 8 frames in ")
    stages = list(dict.fromkeys(said))
    assert any(text.startswith("rendering Plate") for text in stages), stages
    assert re.search(r"sampling \d+/\d+", " ".join(stages)), stages
    no_trouble()

    # What it shows now: every layer, straight alpha, with the plate's own size.
    layers = pixels(node)
    assert {"foreground.alpha", "background.red", "blended.green", "rgba.blue"} <= set(layers)
    assert layers["rgba.red"].shape == before["rgba.red"].shape
    assert np.array_equal(layers["blended.red"], layers["rgba.red"])
    alpha = layers["foreground.alpha"]
    assert alpha.min() >= 0 and alpha.max() <= 1 and alpha.std() > 0.05
    held = oiio.ImageBuf(node.node("Result")["file"].evaluate(FIRST))
    assert held.spec().getattribute("layerflow:alphaMode") == "straight"
    place = held.spec().channelnames.index("foreground.R")
    assert np.array_equal(layers["foreground.red"], held.get_pixels(oiio.FLOAT)[..., place])
    set_knobs(node, alpha="premultiplied")
    assert np.allclose(pixels(node)["foreground.red"], layers["foreground.red"] * alpha, atol=1e-6)

    # The comp beside it is the plate, whichever way alpha leaves the node.
    press(node, "build_tree")
    difference = nuke.toNode("LayerFlow1_difference")
    for how in ("premultiplied", "straight"):
        set_knobs(node, alpha=how)
        for frame in (FIRST, LAST):
            apart = pixels(difference, frame)
            assert max(apart[f"rgba.{c}"].max() for c in ("red", "green", "blue")) < HALF, (how, frame)
    press(node, "recomp_check")
    measured = re.match(
        r"the layers put the plate back within (\S+) \(frames 1001, 1004, 1008\)", node["status"].value()
    )
    assert measured and 0 < float(measured.group(1)) < HALF
    no_trouble()

    # Another version takes the next number and renders nothing again; and it goes back.
    first_render = [what for what in _stand_in.rendered() if "Write" in what[0]]
    assert [frame for _, frame, _ in first_render] == list(range(FIRST, LAST + 1))
    set_knobs(node, seed=5, frame_range="custom", first_frame=FIRST, last_frame=FIRST + 1)
    press(node, "generate")
    assert finished(node).startswith("done: 2 frames")
    assert [what for what in _stand_in.rendered() if "Write" in what[0]] == first_render
    assert node["version"].values() == ["latest", "v002", "v001"] and "_v002." in node["output"].value()
    assert node.node("Result")["last"].value() == FIRST + 1
    set_knobs(node, version="v001")
    assert node.node("Result")["last"].value() == LAST and "_v001." in node.node("Result")["file"].value()
    assert np.array_equal(pixels(node)["foreground.alpha"], alpha)
    no_trouble()

    # A saved script holds nothing of this folder, opens, and shows the same.
    nuke.scriptSave()
    text = Path(nuke.root().name()).read_text(encoding="utf-8")
    # The Root's own name and the plate are where they are; nothing of the node is.
    own = "\n".join(line for line in text.splitlines() if not re.match(r" (name|file) .*(dog\.nk|plate\.####)", line))
    assert str(home) not in own and str(Path.home()) not in own
    moved = home / "moved"
    moved.mkdir()
    (home / "layerflow").rename(moved / "layerflow")
    (moved / "dog.nk").write_text(text, encoding="utf-8")
    nuke.scriptClear()
    nuke.scriptOpen(str(moved / "dog.nk"))
    assert np.array_equal(pixels(nuke.toNode("LayerFlow1"))["foreground.alpha"], alpha)
    no_trouble()


@pytest.mark.long
@pytest.mark.parametrize("saved", [True, False], ids=["saved", "not saved since"])
def test_cancel_and_a_script_that_is_opened_again(nuke, node, home, saved):  # noqa: F811
    from nuke import _stand_in

    nuke.scriptSave()
    set_knobs(node, steps=900)
    press(node, "generate")
    _stand_in.pump_until(lambda: "sampling" in node["status"].value(), 120)
    press(node, "cancel")
    assert finished(node).startswith("cancelled") and node["tile_color"].value() == 0
    no_trouble()

    set_knobs(node, steps=150)
    press(node, "generate")
    assert node["output"].value().count("_v002.") + node["output"].value().count("_v001.") == 1
    looks = []

    def seen():
        if node.node("Shown")["which"].value() == RUNNING:
            looks.append(pixels(node)["rgba.red"])
        return len(looks) > 1 and not np.array_equal(looks[0], looks[-1])

    _stand_in.pump_until(seen, 120)  # pictures of the running job, which change
    assert looks[-1].shape == (320, 480)
    _stand_in.pump_until(lambda: re.search(r"sampling \d+/150, .*about .* left", node["status"].value()), 60)
    script = nuke.root().name()
    if saved:
        nuke.scriptSave()
    nuke.scriptClear()  # Nuke is closed, or ended by itself; the job is not
    from layerflow_nuke.node import runs

    assert not runs
    nuke.scriptOpen(script)
    again = nuke.toNode("LayerFlow1")
    _stand_in.pump_until(lambda: "sampling" in again["status"].value(), 60)
    assert finished(again, 240).startswith("done: 8 frames")
    assert "foreground.alpha" in pixels(again) and again.node("Preview")["file"].value() == ""
    no_trouble()


@pytest.mark.long
def test_on_a_farm(nuke, node, capsys):
    """In `nuke -t` all of it happens in the foreground, and the exit code tells how it ended."""
    from nuke import _stand_in

    from layerflow_nuke import farm

    set_knobs(node, guidance=0.0, steps=0)
    nuke.scriptSave()
    script = nuke.root().name()
    _stand_in.reset(gui=False)
    assert farm.main([script, "LayerFlow1", "--frames", "1002-1003"]) == 0
    assert "LayerFlow1: done: 2 frames" in capsys.readouterr().out
    assert any("LayerFlow1: rendering Plate 0/2" in line for line in _stand_in.printed())
    assert farm.main([script, "Nobody"]) == 1 and "has no LayerFlow node Nobody" in capsys.readouterr().err
    made = nuke.toNode("LayerFlow1")
    set_knobs(made, foreground="", task="generate")
    nuke.scriptSave()
    assert farm.main([script]) == 1 and "generate needs a foreground prompt" in capsys.readouterr().err
    with pytest.raises(SystemExit) as wrong:
        farm.main([script, "--frames", "9-2"])
    assert wrong.value.code == 2
    assert _stand_in.messages() == [] and _stand_in.callback_errors() == []


@pytest.mark.long
def test_two_foregrounds(nuke, node):
    """Several lines are several foregrounds: more layers, and a tree that still gives the plate."""
    set_knobs(node, foreground="a parrot\na perch", frame_range="custom", first_frame=FIRST, last_frame=FIRST + 1)
    press(node, "generate")
    assert finished(node).startswith("done: 2 frames"), node["status"].value()
    layers = {name.partition(".")[0] for name in pixels(node)}
    assert len([layer for layer in layers if layer.startswith("foreground")]) == 2
    press(node, "build_tree")
    apart = pixels(nuke.toNode("LayerFlow1_difference"))
    assert max(apart[f"rgba.{c}"].max() for c in ("red", "green", "blue")) < HALF
    press(node, "recomp_check")
    assert "plate back within" in node["status"].value()
    no_trouble()


@pytest.mark.long
def test_a_guide_and_views(nuke, node, home):  # noqa: F811
    """A matte of one channel goes along, and %V makes a sequence for every view."""
    matte = nuke.nodes.Constant(color=[1.0, 0.0, 0.0, 0.0], channels="rgba")
    node.setInput(3, matte)
    nuke.root().addView("left")
    output = str(home / "out" / "%V" / "dog.%04d.exr")
    span = {"frame_range": "custom", "first_frame": FIRST, "last_frame": FIRST + 1}
    set_knobs(node, guide_channel="red", guide_kind="garbage", output=output, **span)
    press(node, "generate")
    assert finished(node).startswith("done: 2 frames"), node["status"].value()
    for view in ("main", "left"):
        assert (home / "out" / view / f"dog_v001.{FIRST}.exr").is_file()
    header = oiio.ImageBuf(str(home / "out" / "left" / f"dog_v001.{FIRST}.exr")).spec()
    assert '"guide_kind": "garbage"' in header.getattribute("layerflow:request")
    (guide,) = (home / "out" / "left").glob(f"dog_inputs/guide_*.{FIRST}.exr")
    assert oiio.ImageBuf(str(guide)).get_pixels(oiio.FLOAT)[..., -1].min() == 1.0
    no_trouble()


@pytest.mark.long
def test_a_foreground_for_a_background_and_no_server(nuke, node, engine, monkeypatch):
    """The other tasks take their own input; without an engine a sentence says what to do."""
    from nuke import _stand_in

    node.setInput(2, node.input(0))
    node.setInput(0, None)
    set_knobs(node, task="foreground", frame_range="custom", first_frame=FIRST, last_frame=FIRST + 1, steps=2)
    press(node, "generate")
    assert finished(node).startswith("done: 2 frames")
    no_trouble()
    engine.end()
    monkeypatch.setenv("LAYERFLOW_COMMAND", "/nowhere/layerflow")
    press(node, "generate")
    assert "LAYERFLOW_COMMAND" in finished(node)
    assert node["tile_color"].value() != 0 and len(_stand_in.messages()) == 1
    assert _stand_in.callback_errors() == []
