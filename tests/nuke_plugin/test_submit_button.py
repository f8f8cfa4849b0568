"""The way from a node's button to a job for a farm, with the real engine's `submit` and the tools that read the job."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from comping import FIRST, finished, plate, press, saved_script, set_knobs

from layerflow.cli.shot_file import read_shot_file
from layerflow_nuke.farm_panel import FARM

BIN = Path(sys.executable).parent
FAKE_FARM = f"{sys.executable} -c 'import sys; print(\"job-7 of\", *sys.argv[1:])' {{bundle}}"


@pytest.fixture
def node(nuke, tmp_path, monkeypatch):
    """A node on two frames of the example plate, in a saved script; no server runs."""
    monkeypatch.setenv("LAYERFLOW_RUNTIME", str(tmp_path / "runtime"))
    monkeypatch.setenv("LAYERFLOW_SERVER", str(tmp_path / "server"))
    monkeypatch.setenv("LAYERFLOW_COMMAND", str(BIN / "layerflow"))
    from layerflow_nuke import node as actions
    from layerflow_nuke import startup

    actions.runs.clear()
    startup.menu()
    saved_script(nuke, tmp_path)
    plate(nuke, FIRST + 1)
    placed = actions.place()
    set_knobs(placed, foreground="a parrot", background="a desert")
    return placed


def messages():
    from nuke import _stand_in

    assert _stand_in.callback_errors() == []
    return _stand_in.messages()


def fake_engine(monkeypatch, tmp_path, answer):
    """Puts a program in the engine's place that knows its answer."""
    path = tmp_path / "engine"
    path.write_text(f"#!{sys.executable}\nimport json, sys\n{answer}\n")
    path.chmod(0o755)
    monkeypatch.setenv("LAYERFLOW_COMMAND", str(path))


MADE = """
folder = next(each for each in sys.argv if each.startswith("--output=")).partition("=")[2]
print(json.dumps({"folder": folder, "windows": 1, "chunks": 1}))
"""


@pytest.mark.slow
@pytest.mark.long
def test_a_job_that_the_farms_tools_take(node, tmp_path):
    """The inputs are rendered, the job is whole and valid, and what it asks for is what the node shows."""
    set_knobs(node, farm_chunk=2, farm_gpus=2, farm_gpu_memory_gib=24.0, device="cpu", jobs="0" * 32)
    press(node, "submit")
    said = finished(node)
    job = tmp_path / "layerflow" / "LayerFlow1_v001.openjd"
    assert said.startswith(f"1 window in 1 task, ready for the farm: deadline bundle submit {job}"), said
    assert messages() == [] and node["tile_color"].value() == 0 and node["jobs"].value() == ""
    checked = subprocess.run([BIN / "openjd", "check", job / "template.json"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    sample = json.loads((job / "template.json").read_text())["steps"][1]
    assert [each["min"] for each in sample["hostRequirements"]["amounts"]] == [2, 24 * 1024]
    asked = read_shot_file(str(job / "shot.json"))
    assert asked == read_shot_file(str(tmp_path / "layerflow" / "LayerFlow1_v001.json"))
    assert (asked.foreground, asked.first_frame, asked.last_frame) == ("a parrot", FIRST, FIRST + 1)
    assert asked.output == str(tmp_path / "layerflow" / "LayerFlow1_v001.%04d.exr")
    assert all(Path(asked.plate % frame).is_file() for frame in (FIRST, FIRST + 1))


def test_the_next_press_is_the_next_version_and_the_farm_is_handed_it(node, tmp_path, monkeypatch):
    fake_engine(monkeypatch, tmp_path, MADE)
    jobs = tmp_path / "jobs"
    press(node, "submit")
    finished(node)
    set_knobs(node, farm_folder="[file dirname [value root.name]]/jobs", farm_command=FAKE_FARM)
    press(node, "submit")
    assert finished(node) == (
        f"1 window in 1 task, handed to the farm: job-7 of {jobs / 'LayerFlow1_v002.openjd'}; "
        "press Reload once the frames are there"
    )
    press(node, "reload")
    assert "wait for the farm" in messages()[0]


def test_views_have_jobs_of_their_own(nuke, node, tmp_path, monkeypatch):
    fake_engine(monkeypatch, tmp_path, MADE)
    nuke.root().addView("left")
    jobs, output = str(tmp_path / "jobs"), str(tmp_path / "%V" / "dog.%04d.exr")
    set_knobs(node, output=output, farm_folder=jobs, farm_command=FAKE_FARM)
    press(node, "submit")
    said = finished(node)
    assert all(f"job-7 of {jobs}/{view}/dog_v001.openjd" in said for view in ("main", "left")), said
    assert all((tmp_path / view / "dog_v001.json").is_file() for view in ("main", "left"))


@pytest.mark.parametrize(
    ("values", "says", "version"),
    [
        ({"farm_command": "deadline bundle submit"}, "write {bundle} into it", "_v001."),
        ({"farm_folder": "jobs"}, "give a whole path", "_v001."),
        ({"farm_chunk": 0}, "give it 1 or more", "_v001."),
        ({"farm_command": "/nowhere/deadline {bundle}"}, "/nowhere/deadline cannot be run", "_v002."),
    ],
)
def test_what_cannot_be_is_one_dialog_and_a_red_node(node, tmp_path, monkeypatch, values, says, version):
    """What is wrong with the knobs costs no version; a job that the farm did not take is one."""
    fake_engine(monkeypatch, tmp_path, MADE)
    set_knobs(node, **values)
    press(node, "submit")
    finished(node)
    (message,) = messages()
    assert says in message and says in node["status"].value() and node["tile_color"].value() != 0
    set_knobs(node, farm_command="", farm_folder="", farm_chunk=4)
    press(node, "submit")
    assert f"LayerFlow1{version[:-1]}.openjd" in finished(node) and version in node["output"].value()


def test_the_engines_sentence_is_the_nodes(node, tmp_path, monkeypatch):
    fake_engine(monkeypatch, tmp_path, 'print(json.dumps({"error": "no model dog is here; pull it"})); sys.exit(5)')
    press(node, "submit")
    assert finished(node) == "failed: there is no job for the farm: no model dog is here; pull it"
    assert len(messages()) == 1 and not list((tmp_path / "layerflow").glob("*.json"))


def test_cancel_while_the_farm_takes_the_job(node, tmp_path, monkeypatch):
    from nuke import _stand_in

    fake_engine(monkeypatch, tmp_path, MADE)
    set_knobs(node, farm_command=f"{sys.executable} -c 'import time; time.sleep(600)' {{bundle}}")
    press(node, "submit")
    _stand_in.pump_until(lambda: "handing the job" in node["status"].value(), 60)
    press(node, "submit")
    assert "is running" in messages()[0]
    press(node, "cancel")
    assert finished(node).startswith("cancelled; a job that was whole")


def test_without_a_window(node, nuke, tmp_path, monkeypatch, capsys):
    """`nuke -t farm.py SCRIPT --submit` does it in the foreground, and its exit code tells how it ended."""
    from nuke import _stand_in

    from layerflow_nuke import farm

    fake_engine(monkeypatch, tmp_path, MADE)
    nuke.scriptSave()
    script = nuke.root().name()
    _stand_in.reset(gui=False)
    assert farm.main([script, "--submit", "--frames", f"{FIRST}-{FIRST}"]) == 0
    assert "LayerFlow1: 1 window in 1 task, ready for the farm" in capsys.readouterr().out
    fake_engine(monkeypatch, tmp_path, "sys.exit('no')")
    assert farm.main([script, "--submit"]) == 1
    assert _stand_in.messages() == []


def test_a_node_of_before_the_farm_still_works(node, tmp_path):
    """A script that was saved without these knobs opens, and what it lacks is at its default."""
    from layerflow_nuke import host

    for knob in FARM:
        node.removeKnob(node[knob.name])
    assert host.values(node)["farm_chunk"] == 4
    press(node, "reload")
    assert "press Generate" in messages()[0]
