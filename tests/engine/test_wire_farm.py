"""A shot on its way to a farm, as a host sends it: what the engine and the farm's command are told."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from layerflow.wire import Request
from layerflow.wire.errors import NotRunning, ServerError
from layerflow.wire.farm import Bundle, Farm, as_text, farm_command, hand_over, write_bundle
from layerflow.wire.programs import run_program, start_program
from layerflow.wire.versions import Versions, shot_file

ENGINE = """#!{python}
import json, pathlib, sys, time
pathlib.Path(__file__).with_name("told.json").write_text(json.dumps(sys.argv[1:]))
{answer}
"""
MADE = 'print(json.dumps({"folder": "/out/dog.openjd", "windows": 9, "chunks": 3}))'


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """A function that puts a program in the engine's place, which answers with a line of Python."""
    path = tmp_path / "engine"

    def put(answer: str) -> Path:
        path.write_text(ENGINE.format(python=sys.executable, answer=answer))
        path.chmod(0o755)
        monkeypatch.setenv("LAYERFLOW_COMMAND", str(path))
        return tmp_path / "told.json"

    return put


@pytest.fixture
def request_(tmp_path):
    """A shot that goes beside others; its plate is said from the working folder."""
    return Request("decompose", plate="plate.%04d.exr", output=str(tmp_path / "a shot" / "dog_v003.%04d.exr"))


def test_the_engine_is_told_of_the_farm_and_the_shot_lies_beside_its_frames(engine, request_, tmp_path):
    told = engine(MADE)
    farm = Farm(chunk=8, gpus=2, gpu_memory_gib=24, memory_gib=0.5, program="/opt/it's layerflow")
    assert write_bundle(request_, farm) == Bundle("/out/dog.openjd", 9, 3)
    shot = tmp_path / "a shot" / "dog_v003.json"
    assert json.loads(told.read_text()) == [
        "submit", str(shot), "--openjd", "--json", f"--output={shot.with_suffix('.openjd')}", "--chunk=8", "--gpus=2",
        "--command=/opt/it's layerflow", "--gpu-memory-gib=24", "--memory-gib=0.5",
    ]  # fmt: skip
    asked = Request.from_json(shot.read_text())
    assert asked.plate == str(Path.cwd() / "plate.%04d.exr") and asked.output == request_.output
    elsewhere = Farm(folder=str(tmp_path / "jobs"))
    shot.unlink()
    write_bundle(request_, elsewhere)
    assert f"--output={tmp_path / 'jobs' / 'dog_v003.openjd'}" in json.loads(told.read_text())


def test_a_version_with_a_job_for_the_farm_is_begun(engine, request_):
    engine(MADE)
    versions = Versions.of(request_.output, lambda text: text)
    assert versions.next() == 1
    write_bundle(request_, Farm())
    assert versions.next() == 4 and versions.on_disk() == []


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ('print(json.dumps({"error": "the plate is gone; look", "exit_code": 3})); sys.exit(3)', "the plate is gone"),
        ("sys.exit('Error: No such command submit')", "No such command submit; install the same LayerFlow"),
        ("print('{}')", "it said nothing; install the same LayerFlow"),
        ("", "it said nothing"),
    ],
)
def test_what_the_engine_cannot_do_is_its_sentence_and_leaves_no_version(engine, request_, answer, says):
    engine(answer)
    with pytest.raises(ServerError, match=says):
        write_bundle(request_, Farm())
    assert not Path(shot_file(request_.output)).exists()


def test_nothing_is_replaced(engine, request_, tmp_path):
    told = engine(MADE)
    there = tmp_path / "a shot" / "dog_v003.openjd"
    there.mkdir(parents=True)
    with pytest.raises(ServerError, match="already; remove it"):
        write_bundle(request_, Farm())
    there.rmdir()
    Path(shot_file(request_.output)).write_text("mine")
    with pytest.raises(ServerError, match="cannot be written \\(File exists\\)"):
        write_bundle(request_, Farm())
    assert Path(shot_file(request_.output)).read_text() == "mine" and not told.exists()


def test_cancelling_ends_the_engine(engine, request_):
    engine("time.sleep(600)")
    with pytest.raises(ServerError):
        write_bundle(request_, Farm(), stopped=lambda: True)
    assert not Path(shot_file(request_.output)).exists()


def test_the_farms_command_gets_the_job_as_one_argument_and_no_shell(tmp_path):
    bundle = Bundle(str(tmp_path / "a job; $(touch owned) 'it'.openjd"), 9, 3)
    echo = (
        f"'{sys.executable}' -c 'import sys; print(1); print(*sys.argv[1:], sep=\"|\")' --job={{bundle}} 'x y' >owned"
    )
    assert hand_over(bundle, Farm(hand_over=echo)) == f"--job={bundle.folder}|x y|>owned"
    assert not Path("owned").exists()
    assert farm_command(as_text(["deadline", bundle.folder]), "") == ["deadline", bundle.folder]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("/nowhere/deadline {bundle}", "/nowhere/deadline cannot be run"),
        (
            f"{sys.executable} -c 'import sys; sys.exit(\"no such queue\")' {{bundle}}",
            "did not take the job .no such queue",
        ),
        (f"{sys.executable} -c 'import sys; sys.exit(3)' {{bundle}}", "it ended with 3"),
    ],
)
def test_a_farm_that_does_not_take_the_job_says_where_it_is(command, says):
    with pytest.raises(ServerError, match=says) as failed:
        hand_over(Bundle("/out/dog.openjd", 9, 3), Farm(hand_over=command))
    assert "the job is whole at /out/dog.openjd" in str(failed.value)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"chunk": 0}, "give it 1 or more"),
        ({"gpus": -1}, "write 0 for what is not asked for"),
        ({"memory_gib": -1.0}, "write 0"),
        ({"program": " "}, "write layerflow"),
        ({"hand_over": "deadline bundle submit"}, "write {bundle} into it"),
        ({"hand_over": "deadline '{bundle}"}, "close its quotes"),
        ({"folder": "jobs"}, "give a whole path"),
    ],
)
def test_a_farm_that_cannot_be(values, says):
    with pytest.raises(ValueError, match=says):
        Farm(**values)


def test_a_program_has_nothing_of_the_hosts_python(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/nuke/python")
    print_it = (
        "import os, sys; print(os.environ.get('PYTHONPATH')); print('no', file=sys.stderr); print(sys.stdin.read())"
    )
    assert run_program([sys.executable, "-c", print_it], "") == (0, ["None"], ["no"])
    with pytest.raises(NotRunning, match=r"/nowhere cannot be run \(.*\); look"):
        start_program(["/nowhere"], "look")
