"""A LayerFlow node without an engine: what it is made of, what it refuses and how, and what it renders again."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import pytest
from comping import FIRST, finished, plate, press, saved_script, set_knobs
from write_example import EXAMPLE, example

from layerflow_nuke.inside import pieces
from layerflow_nuke.panel import PANEL, defaults

PLUGIN = Path(__file__).parents[2] / "nuke_plugin"


@pytest.fixture
def actions(nuke):
    """The plug-in's own module, with no run that another test left."""
    from layerflow_nuke import node

    node.runs.clear()
    return node


@pytest.fixture
def node(nuke, actions, tmp_path, monkeypatch):
    """A node on the example plate in a saved script; there is no engine."""
    monkeypatch.setenv("LAYERFLOW_RUNTIME", str(tmp_path / "runtime"))
    monkeypatch.setenv("LAYERFLOW_SERVER", str(tmp_path / "server"))
    monkeypatch.setenv("LAYERFLOW_COMMAND", str(tmp_path / "no engine"))
    from layerflow_nuke import startup

    startup.menu()
    saved_script(nuke, tmp_path)
    plate(nuke)
    return actions.place()


def messages():
    from nuke import _stand_in

    assert _stand_in.callback_errors() == []
    return _stand_in.messages()


def writes():
    from nuke import _stand_in

    return [frame for name, frame, _ in _stand_in.rendered() if "Write" in name]


def test_a_new_node_has_every_knob_at_its_default_and_help(node):
    for knob in PANEL:
        assert node[knob.name].tooltip() == knob.help and node[knob.name].visible() != knob.hidden
    held = {name: node[name].value() for name in defaults()}
    assert held == defaults()
    assert [node.node(piece.name).Class() for piece in pieces()] == [piece.kind for piece in pieces()]
    assert [node.node(name)["number"].value() for name in ("Plate", "Foreground", "Background", "Guide")] == [
        0,
        1,
        2,
        3,
    ]
    assert messages() == []


def test_it_is_connected_to_what_is_selected_and_lets_it_through(nuke, node):
    from nuke import _stand_in

    assert node.input(0).Class() == "Read" and node.name() == "LayerFlow1"
    read, through = (_stand_in.pixels(each, FIRST) for each in (node.input(0), node))
    assert all(np.array_equal(read[name], through[name]) for name in read)


def test_knobs_that_do_not_count_are_greyed_out(node):
    assert node["guide_kind"].enabled() and not node["first_frame"].enabled()
    set_knobs(node, task="generate", frame_range="custom")
    assert not node["guide_kind"].enabled() and node["first_frame"].enabled()
    assert messages() == []


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"task": "generate"}, "generate needs a foreground prompt"),
        ({"task": "background", "background": "a field"}, "background needs the Foreground input"),
        ({"frame_range": "custom", "first_frame": 9, "last_frame": 5}, "write 5-9"),
        ({"output": "C:\\shots\\dog.%04d.exr"}, "one of Windows"),
        ({"output": "dog.%04d.exr"}, "save the file first"),
        ({"output": "/out/dog.exr"}, "frame number"),
        ({"server": "render01"}, "is no folder"),
        ({"lora": "dog.safetensors:99"}, "weight of the LoRA"),
    ],
)
def test_what_cannot_be_is_one_dialog_and_a_red_node(node, values, says):
    seed = node["seed"].value()
    set_knobs(node, lock_seed=False, **values)
    press(node, "generate")
    (message,) = messages()
    assert says in message and message.startswith("LayerFlow1: ") and says in node["status"].value()
    assert node["tile_color"].value() != 0 and writes() == []
    assert node["seed"].value() == seed or "server" in values


def test_a_plate_that_cannot_be_read_names_the_frame(nuke, node):
    node.input(0)["file"].setValue("/nowhere/plate.####.png")
    press(node, "generate")
    assert "could not render frame 1001" in finished(node)
    assert len(messages()) == 1


def test_a_missing_engine_says_what_to_do_and_keeps_what_was_rendered(node):
    press(node, "generate")
    said = finished(node)
    assert said.startswith("failed: LAYERFLOW_COMMAND is") and len(messages()) == 1
    assert node["tile_color"].value() != 0
    assert writes() == list(range(FIRST, FIRST + 8))
    press(node, "generate")
    finished(node)
    assert writes() == list(range(FIRST, FIRST + 8))  # once is enough


@pytest.mark.parametrize(
    ("change", "again"),
    [
        (lambda node: node.input(0)["colorspace"].setValue("linear"), True),
        (lambda node: node.input(0).setXYpos(500, 500), False),
        (lambda node: node.input(0)["label"].setValue("the dog"), False),
        (lambda node: node["fresh_inputs"].setValue(True), True),
        (lambda node: node["seed"].setValue(4), False),
        (lambda node: node.input(0)["reload"].execute(), False),
    ],
    ids=["its colours", "its place", "its label", "asked for", "another seed", "reloaded"],
)
def test_an_input_is_rendered_again_when_it_would_look_otherwise(node, change, again):
    press(node, "generate")
    finished(node)
    change(node)
    press(node, "generate")
    finished(node)
    assert len(writes()) == (16 if again else 8)


def test_a_file_that_is_rendered_anew_under_its_name_is_seen(nuke, node, tmp_path):
    for value in (0.2, 0.6):
        picture = oiio.ImageBuf(oiio.ImageSpec(480, 320, 3, oiio.FLOAT))
        oiio.ImageBufAlgo.fill(picture, [value] * 3)
        assert picture.write(str(tmp_path / "cg.1.exr"))
        read = node.input(0)
        set_knobs(read, file=str(tmp_path / "cg.#.exr"), first=1, last=1, colorspace="linear")
        read["reload"].execute()
        press(node, "generate")
        finished(node)
    assert writes() == [1, 1]
    made = sorted(
        (tmp_path / "layerflow" / "LayerFlow1_inputs").glob("plate_*.0001.exr"), key=lambda p: p.stat().st_mtime
    )
    assert [round(float(oiio.ImageBuf(str(path)).getpixel(0, 0)[0]), 3) for path in made] == [0.2, 0.6]
    assert oiio.ImageBuf(str(made[0])).spec().channelnames == ("R", "G", "B")  # no alpha, which would be 0


def test_proxies_are_refused(nuke, node):
    nuke.root()["proxy"].setValue(True)
    press(node, "generate")
    assert "proxy mode is on" in messages()[0]


@pytest.mark.parametrize(
    ("button", "says"),
    [
        ("cancel", "nothing to cancel"),
        ("reload", "press Generate"),
        ("open_folder", "press Generate"),
        ("recomp_check", "press Generate"),
    ],
)
def test_a_button_before_its_time(node, button, says):
    press(node, button)
    assert says in messages()[0]


def test_open_folder_shows_where_frames_are(node, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr("layerflow_nuke.host.webbrowser.open", shown.append)
    (tmp_path / "layerflow").mkdir()
    press(node, "open_folder")
    assert shown == [(tmp_path / "layerflow").as_uri()] and messages() == []


def test_a_seed_is_kept_or_taken_anew(node):
    press(node, "new_seed")
    first = node["seed"].value()
    press(node, "generate")
    finished(node)
    assert node["seed"].value() == first != 0
    set_knobs(node, lock_seed=False)
    press(node, "generate")
    finished(node)
    assert node["seed"].value() != first


def test_a_second_generate_is_refused_while_one_runs(node):
    press(node, "generate")
    press(node, "generate")
    assert "is running" in messages()[0]
    finished(node)


def test_a_node_that_is_deleted_while_it_works_is_let_go(nuke, node, actions):
    press(node, "generate")
    (run,) = actions.runs.values()
    nuke.delete(node)
    from nuke import _stand_in

    _stand_in.pump_until(lambda: run.is_over)
    assert messages() == []


def test_an_error_of_its_own_is_told_in_a_sentence_and_logged(node, monkeypatch, caplog):
    monkeypatch.setattr("layerflow_nuke.node.generate", lambda group: 1 / 0)
    press(node, "generate")
    assert "error of its own (division by zero)" in messages()[0]
    assert "ZeroDivisionError" in caplog.text


def test_a_script_opened_where_there_is_no_engine_stays_quiet(nuke, node):
    """A colleague's machine: the job is in another queue. Nothing is red, no dialog; Reload would look again."""
    set_knobs(node, jobs="0" * 32, state="working")
    nuke.scriptSave()
    path = nuke.root().name()
    nuke.scriptClear()
    nuke.scriptOpen(path)
    there = nuke.toNode("LayerFlow1")
    said = finished(there)
    assert said.startswith("the job cannot be watched: LAYERFLOW_COMMAND") and there["tile_color"].value() == 0
    assert messages() == []
    press(there, "reload")
    assert finished(there) == said and messages() == []


def test_a_script_of_another_system_opens_quietly(nuke, node):
    set_knobs(node, output="C:\\shots\\dog_v001.%04d.exr")
    nuke.scriptSave()
    path = nuke.root().name()
    nuke.scriptClear()
    nuke.scriptOpen(path)
    assert messages() == []
    press(nuke.toNode("LayerFlow1"), "generate")
    assert "one of Windows" in messages()[0]


def over_each_other(layers):
    """The colour of the second foreground, then the first, over the background (Porter and Duff 1984)."""
    under = np.array(layers["background"])
    for name in ("foreground2", "foreground1"):
        *color, alpha = layers[name]
        under = alpha * np.array(color) + (1 - alpha) * under
    return tuple(map(float, under))


def layered(path, *, residual):
    """An EXR as the engine writes it: two foregrounds over a background, and what they leave of a plate of .5 grey."""
    layers = {
        "foreground1": (0.8, 0.1, 0.1, 0.5),
        "foreground2": (0.2, 0.6, 0.2, 0.25),
        "background": (0.4, 0.3, 0.9),
    }
    left = tuple(0.5 - value for value in over_each_other(layers)) if residual else (0.0, 0.0, 0.0)
    values = {"": (0.5, 0.5, 0.5, 1.0), **layers, "residual": left}
    names = [f"{layer}.{c}".lstrip(".") for layer, color in values.items() for c in "RGBA"[: len(color)]]
    spec = oiio.ImageSpec(480, 320, len(names), oiio.FLOAT)
    spec.channelnames = tuple(names)
    spec.attribute("layerflow:layers", "foreground1,foreground2,background,blended,residual")
    picture = oiio.ImageBuf(spec)
    oiio.ImageBufAlgo.fill(picture, [float(value) for color in values.values() for value in color])
    path.parent.mkdir(exist_ok=True)
    assert picture.write(str(path))
    return values


@pytest.fixture
def grey_plate(nuke, node):
    """The node on a plate of .5 grey."""
    node.setInput(0, nuke.nodes.Constant(color=[0.5, 0.5, 0.5, 1.0], channels="rgb"))
    return node


@pytest.mark.parametrize("residual", [True, False])
def test_what_the_layers_leave_is_added_and_the_check_finds_it(nuke, grey_plate, tmp_path, residual):
    """Two foregrounds in their order and a residual give the plate back; without it the check says how far off."""
    from nuke import _stand_in

    node = grey_plate
    values = layered(tmp_path / "layerflow" / "LayerFlow1_v001.0001.exr", residual=residual)
    press(node, "reload")
    press(node, "build_tree")
    apart = _stand_in.pixels(nuke.toNode("LayerFlow1_difference"), 1)
    off = max(float(apart[f"rgba.{name}"].max()) for name in ("red", "green", "blue"))
    expected = 0.0 if residual else max(abs(0.5 - value) for value in over_each_other(values))
    assert residual or expected > 0.05
    assert off == pytest.approx(expected, abs=1e-6)
    press(node, "recomp_check")
    said = float(re.search(r"within (\S+) ", node["status"].value()).group(1))
    assert said == pytest.approx(expected, rel=0.05, abs=1e-6)
    assert messages() == []


def test_any_layer_can_be_the_rgba(node, tmp_path):
    from nuke import _stand_in

    values = layered(tmp_path / "layerflow" / "LayerFlow1_v001.0001.exr", residual=True)
    press(node, "reload")
    for show, expected in {
        "blended": (0.5, 0.5, 0.5, 1.0),
        "foreground": values["foreground1"],
        "background": (*values["background"], 1.0),
    }.items():
        set_knobs(node, show=show)
        pixels = _stand_in.pixels(node, 1)
        assert [float(pixels[f"rgba.{c}"][5, 5]) for c in ("red", "green", "blue", "alpha")] == pytest.approx(expected)


def test_a_new_version_is_shown_after_one_went_back(node, tmp_path):
    for version in (1, 2):
        layered(tmp_path / "layerflow" / f"LayerFlow1_v00{version}.0001.exr", residual=True)
    press(node, "reload")
    set_knobs(node, version="v001")
    press(node, "generate")
    finished(node)
    assert "_v003." in node["output"].value() and node["version"].value() == "latest"


def test_frames_that_went_are_a_sentence(node, actions):
    from layerflow.wire.status import DONE, Status
    from layerflow_nuke import host
    from layerflow_nuke.desk import NodeDesk

    NodeDesk(node, host.script(), "", lambda: None).ended(Status("done: 8 frames", DONE), [])
    assert "there are no frames like" in messages()[0] and node["tile_color"].value() != 0


def test_without_the_plug_in_a_script_opens_and_buttons_say_what_is_missing(nuke, node, tmp_path, monkeypatch):
    from nuke import _stand_in

    nuke.scriptSave()
    path = nuke.root().name()
    _stand_in.reset()
    monkeypatch.setitem(sys.modules, "layerflow_nuke.buttons", None)
    monkeypatch.delattr(sys.modules["layerflow_nuke"], "buttons")
    nuke.scriptOpen(path)
    there = nuke.toNode("LayerFlow1")
    assert _stand_in.messages() == [] and there["foreground"].value() == ""
    press(there, "generate")
    assert _stand_in.messages() == ["LayerFlow is not installed for this Nuke; run: layerflow install nuke"]


def test_two_nodes_have_outputs_of_their_own(nuke, node, actions):
    other = actions.place()
    assert other.name() == "LayerFlow2"
    from layerflow_nuke import planning

    patterns = {planning.versions_of(each, each["output"].value(), "main").pattern(1) for each in (node, other)}
    assert len(patterns) == 2


START = """
import sys, time, types
sys.modules["nuke"] = nuke = types.ModuleType("nuke")
class Menu:
    def addMenu(self, *a, **k): return self
    def addCommand(self, *a, **k): pass
nuke.menu = lambda name: Menu()
nuke.addOnScriptLoad = nuke.addOnScriptClose = lambda call: None
nuke.addKnobChanged = lambda call, nodeClass: None
sys.path.insert(0, sys.argv[1])
before = set(sys.modules)
for name in ("init.py", "menu.py"):
    exec(compile(open(sys.argv[1] + "/" + name).read(), name, "exec"), {"__file__": sys.argv[1] + "/" + name})
print(*sorted({name for name in set(sys.modules) - before}))
"""


def test_nukes_start_loads_nothing_but_the_wire():
    loaded = subprocess.run(
        [sys.executable, "-S", "-c", START, str(PLUGIN)],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": ""},
    ).stdout.split()  # fmt: skip
    own = {name for name in loaded if name.startswith("layerflow")}
    assert {"layerflow_nuke", "layerflow_nuke.startup", "layerflow.wire"} <= own
    assert all(re.match(r"layerflow(_nuke(\.(startup|wire_path))?|\.wire.*)?$", name) for name in own)
    assert not {"torch", "numpy", "ssl", "http.client", "PySide6", "PySide2"} & set(loaded)


def test_the_example_is_what_the_plug_in_makes(nuke, actions):
    assert EXAMPLE.read_text(encoding="utf-8") == example(nuke), "run tests/nuke_plugin/write_example.py"


def test_the_example_opens_anywhere(nuke, actions):
    from nuke import _stand_in

    text = EXAMPLE.read_text(encoding="utf-8")
    assert str(Path.home()) not in text and not re.search(r"(?m)^ +file \"?/", text)
    nuke.scriptOpen(str(EXAMPLE))
    node = nuke.toNode("LayerFlow1")
    assert node["foreground"].value() == "a parrot" and node.input(0).name() == "Plate"
    assert _stand_in.pixels(node, FIRST)["rgba.red"].shape == (320, 480)
    assert [each.Class() for each in nuke.toNode("LayerFlow1_difference").dependencies(nuke.INPUTS)] == [
        "Merge2",
        "Dot",
    ]
