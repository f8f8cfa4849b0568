"""A shot as a farm's job: Open Job Description's own tools take it, run it, and what comes out is the plain command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rendering import contents, request, write_plate

from layerflow import parts
from layerflow.cli.app import run
from layerflow.cli.part import parse_windows
from layerflow.cli.shot_file import read_shot_file
from layerflow.errors import RequestError
from layerflow.farm_job import FarmJob, job_template
from layerflow.farm_retries import retries_environment
from layerflow.wire import Request

pytestmark = pytest.mark.usefixtures("one_thread")

BIN = Path(sys.executable).parent
LAYERFLOW = BIN / "layerflow"

KILLED_ONCE = """#!{python}
import os, pathlib, signal, subprocess, sys
command = ["{layerflow}", *sys.argv[1:]]
if "--windows=3-4" in sys.argv and not pathlib.Path("{mark}").exists():
    pathlib.Path("{mark}").touch()
    task = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in task.stdout:
        print(line, end="", flush=True)
        if "openjd_progress" in line:
            task.kill()
    os.kill(os.getpid(), signal.SIGKILL)
os.execv(command[0], command)
"""


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Four windows of the model."""
    return write_plate(tmp_path_factory.mktemp("plate"), count=20)


@pytest.fixture
def shot_file(tiny_model: Path, tmp_path: Path, plate: str) -> Path:
    """A shot in a folder whose name a shell would take for more than a name."""
    folder = tmp_path / "a shot; $(touch owned) `touch owned` 'it'"
    folder.mkdir()
    return write_shot(folder / "dog.json", model=str(tiny_model), plate=plate)


def write_shot(path: Path, **changes: Any) -> Path:
    values = {"task": "decompose", "foreground": "a red dog", "output": "out/dog.%04d.exr", "device": "cpu", **changes}
    path.write_text(json.dumps(values))
    return path


def openjd(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BIN / "openjd"), *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def submitted(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    assert run(["submit", *map(str, arguments), "--openjd", "--json"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def plain(shot_file: Path, folder: Path) -> dict[str, bytes]:
    """What the plain command makes of the shot, in a process of its own as well."""
    asked = read_shot_file(str(shot_file))
    command = [LAYERFLOW, "decompose", asked.plate, "--foreground", asked.foreground, "--model", asked.model]
    subprocess.run(
        [*map(str, command), "--device", "cpu", "-o", str(folder / "dog.%04d.exr")],
        check=True,
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return contents(folder)


@pytest.fixture
def killed_once(tmp_path):
    """A LayerFlow whose second chunk is killed at its first step, once."""
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(KILLED_ONCE.format(python=sys.executable, mark=tmp_path / "mark", layerflow=LAYERFLOW))
    wrapper.chmod(0o755)
    return wrapper


@pytest.mark.slow
@pytest.mark.long
def test_the_runner_makes_what_the_plain_command_makes(shot_file, killed_once, tmp_path, capsys) -> None:
    """In one run, though a chunk is killed: the environment beside the job tries it again."""
    job = submitted(capsys, shot_file, "--chunk", 2)
    assert (job["windows"], job["chunks"]) == (4, 2)
    checked, summed = openjd("check", job["template"]), openjd("summary", job["template"])
    assert checked.returncode == 0 and "passes validation checks" in checked.stdout
    assert summed.returncode == 0 and "Total tasks: 5" in summed.stdout
    done = openjd("run", job["template"], "-p", f"LayerFlow={killed_once}", "--environment", job["retries"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "openjd_progress: 100.0" in done.stdout and "openjd_status: sampling window 3 of 4" in done.stdout
    assert done.stdout.count("the task ended with 137 and is tried again; retries left: 2") == 1
    assert contents(shot_file.parent / "out") == plain(shot_file, tmp_path / "plain")
    assert not list(tmp_path.rglob("owned")) and not Path("owned").exists()


@pytest.mark.slow
@pytest.mark.long
def test_a_job_with_a_task_that_was_killed_goes_on_where_it_was(shot_file, killed_once, tmp_path, capsys) -> None:
    """The local runner alone stops at a task that fails; what ran before is not made again."""
    template = submitted(capsys, shot_file, "--chunk", 2)["template"]
    failed = openjd("run", template, "-p", f"LayerFlow={killed_once}")
    assert failed.returncode != 0 and "exited with code: -9" in failed.stdout and "sampled 1, 2" in failed.stdout
    again = openjd("run", template, "-p", f"LayerFlow={killed_once}")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "sampled 3, 4" in again.stdout and "sampled 1, 2" not in again.stdout
    assert contents(shot_file.parent / "out") == plain(shot_file, tmp_path / "plain")


def one_task(folder: Path, *command: str) -> Path:
    """A job of one task, and beside it an environment that tries it again twice."""
    run_it = {"command": command[0], "args": command[1:], "timeout": 60}
    step = {"name": "Only", "script": {"actions": {"onRun": run_it}}}
    job = {"specificationVersion": "jobtemplate-2023-09", "name": "one", "steps": [step]}
    (folder / "job.json").write_text(json.dumps(job))
    (folder / "retries.json").write_text(json.dumps(retries_environment(2)))
    return folder / "job.json"


def test_a_task_is_tried_again_as_often_as_is_said_and_no_shell_reads_it(tmp_path) -> None:
    counts = "import os, pathlib, sys; file = pathlib.Path(sys.argv[1]); file.open('a').write('x'); sys.exit(3)"
    job = one_task(tmp_path, sys.executable, "-c", counts, str(tmp_path / "a; $(touch owned) 'b'"))
    assert openjd("check", tmp_path / "retries.json").returncode == 0
    failed = openjd("run", job, "--environment", tmp_path / "retries.json")
    assert failed.returncode != 0 and "exited with code: 3" in failed.stdout
    assert (tmp_path / "a; $(touch owned) 'b'").read_text() == "xxx"
    assert "is tried again; retries left: 1" in failed.stdout and "is tried again; retries left: 0" in failed.stdout


def test_a_task_that_is_stopped_ends_in_its_own_time_and_is_not_tried_again() -> None:
    """Whenever the stop comes: before sh knows the task's number, while it waits, or when the task has just ended."""
    stops = "trap 'echo kept; exit 130' TERM; echo began; while :; do sleep .01; done"
    again = retries_environment(2)["environment"]["script"]["embeddedFiles"][0]["data"]
    for _ in range(100):
        with subprocess.Popen(["sh", "-c", again, "sh", "2", "sh", "-c", stops], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stdout.readline() == b"began\n"
            process.terminate()
            said, _ = process.communicate(timeout=20)
        assert (process.returncode, said) == (130, b"kept\n")


def test_the_runner_takes_the_template(shot_file, capsys) -> None:
    job = submitted(capsys, shot_file, "--chunk", 3, "--gpus", 2, "--gpu-memory-gib", 24, "--memory-gib", 0.5)
    summed = openjd("summary", job["template"])
    assert summed.returncode == 0 and "Total tasks: 5" in summed.stdout, summed.stdout + summed.stderr
    one_each = openjd("summary", job["template"], "-p", "ChunkSize=1")
    assert "Total tasks: 7" in one_each.stdout
    template = json.loads(Path(job["template"]).read_text())
    needed = {step["name"]: step.get("hostRequirements") for step in template["steps"]}
    amounts = {"amount.worker.gpu": 2, "amount.worker.gpu.memory": 24576, "amount.worker.memory": 512}
    asked = {"amounts": [{"name": name, "min": least} for name, least in amounts.items()]}
    assert needed == {"Prepare": None, "Sample": asked, "Assemble": asked, "Verify": None}


@pytest.mark.parametrize(("first", "last"), [(1, 1), (2, 9), (1, 5000)])
@pytest.mark.parametrize("in_order", [False, True])
def test_templates_of_any_size_are_valid(tmp_path, first, last, in_order) -> None:
    from openjd.model import create_job, decode_job_template, preprocess_job_parameters

    asked = Request("generate", foreground="{{Param.Evil}}", background="b", output="{{x}}/a.%04d.exr")
    job = FarmJob(
        name="{{dog}} " * 40, request=asked, windows=(first, last), in_order=in_order, chunk=4, command="layerflow"
    )
    template = decode_job_template(template=job_template(job))
    made = preprocess_job_parameters(
        job_template=template, job_parameter_values={}, job_template_dir=tmp_path, current_working_dir=tmp_path
    )
    space = create_job(job_template=template, job_parameter_values=made).steps[1].parameterSpace
    assert space is not None
    windows = list(space.taskParameterDefinitions["Window"].range)
    assert len(windows) == job.num_chunks == (1 if in_order else -(-(last - first + 1) // 4))
    assert windows[0] == first


def test_a_shot_in_order_cannot_be_split(tiny_model, tmp_path, capsys) -> None:
    asked = {"task": "generate", "foreground": "a red dog", "background": "the garden", "num_frames": 16}
    job = submitted(capsys, write_shot(tmp_path / "dog.json", model=str(tiny_model), **asked))
    assert (job["windows"], job["chunks"]) == (3, 1)
    refused = openjd("summary", job["template"], "-p", "ChunkSize=2")
    assert refused.returncode != 0 and "ChunkSize" in refused.stdout + refused.stderr


def test_submitting_again_keeps_what_is_there(shot_file, capsys) -> None:
    template = Path(submitted(capsys, shot_file)["template"])
    before = template.read_bytes()
    assert run(["submit", str(shot_file), "--openjd", "--chunk", "1"]) == 6
    assert "is already there; pass --overwrite" in capsys.readouterr().err and template.read_bytes() == before
    submitted(capsys, shot_file, "--chunk", 1, "--overwrite")
    assert template.read_bytes() != before
    values = json.loads(template.with_name("parameter_values.json").read_text())
    assert values == {"parameterValues": [{"name": "deadline:maxRetriesPerTask", "value": 3}]}


def test_the_jobs_own_file_is_the_same_request(shot_file, capsys) -> None:
    job = submitted(capsys, shot_file)
    assert read_shot_file(job["shot"]) == read_shot_file(str(shot_file))


def test_paths_of_a_shot_file_are_from_its_folder(tmp_path) -> None:
    (tmp_path / "models" / "mine").mkdir(parents=True)
    mattes = {"guide": "roto/roto.%04d.exr:mask.A", "holdout": "/mattes/hold.exr"}
    path = write_shot(
        tmp_path / "dog.json", plate="../plate/dog.%04d.exr", model="models/mine", lora=["a.safetensors:0.5"], **mattes
    )
    read = read_shot_file(str(path))
    assert (read.plate, read.model) == (f"{tmp_path.parent}/plate/dog.%04d.exr", f"{tmp_path}/models/mine")
    assert (read.guide, read.holdout) == (f"{tmp_path}/roto/roto.%04d.exr:mask.A", "/mattes/hold.exr")
    assert (read.output, read.lora) == (f"{tmp_path}/out/dog.%04d.exr", (f"{tmp_path}/a.safetensors:0.5",))
    assert read_shot_file(str(write_shot(path, plate="a.exr", model="mini"))).model == "mini"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "cannot be read"),
        (b"\xff\xfe", "it is not text"),
        (b"{", "the request is not JSON"),
        (b'{"task": "decompose", "plate": "a.exr", "sead": 1}', "did you mean 'seed'"),
    ],
)
def test_a_wrong_shot_file_is_one_sentence(tmp_path, text, sentence) -> None:
    path = tmp_path / "dog.json"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(RequestError, match=sentence):
        read_shot_file(str(path))


@pytest.mark.parametrize(
    ("text", "chunk", "windows"),
    [("3", None, range(2, 3)), ("3-5", None, range(2, 5)), ("3-9", 2, range(2, 4)), ("3-4", 9, range(2, 4))],
)
def test_windows_are_counted_from_one(text, chunk, windows) -> None:
    assert parse_windows(text, chunk) == windows


@pytest.mark.parametrize("text", ["0-3", "5-3", "a", "", "-1"])
def test_windows_that_are_none(text) -> None:
    with pytest.raises(RequestError, match="counted from 1"):
        parse_windows(text, None)


def test_the_verbs(shot_file, capsys) -> None:
    assert run(["part", "sample", str(shot_file), "--windows", "1", "--openjd"]) == 6
    assert "openjd_fail: no shot is prepared at " in capsys.readouterr().out
    assert run(["part", "prepare", str(shot_file), "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [each["window"] for each in plan["parts"]] == [1, 2, 3, 4] and not plan["in_order"]
    assert run(["part", "sample", str(shot_file), "--windows", "2-4", "--chunk", "2", "--openjd", "--json"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert json.loads(last) == {"windows": [2, 3], "sampled": [2, 3]}
    assert [line for line in lines if line.startswith("openjd_progress: ")] == [
        f"openjd_progress: {percent}" for percent in (16.7, 33.3, 50.0, 66.7, 83.3, 100.0)
    ]
    assert "openjd_status: sampling window 3 of 4" in lines
    assert run(["part", "assemble", str(shot_file)]) == 6
    assert "windows 1, 4 of 4" in capsys.readouterr().err
    assert run(["part", "sample", str(shot_file), "--windows", "1-4", "--precision", "bfloat16"]) == 6
    assert "was made with another precision" in capsys.readouterr().err
    assert run(["part", "sample", str(shot_file), "--windows", "1-4"]) == 0
    assert capsys.readouterr().out == "sampled 1, 4\n"
    assert run(["part", "assemble", str(shot_file), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out.splitlines()[-1])["frames"]) == 20
    assert run(["part", "verify", str(shot_file)]) == 0
    sums = dict(line.split("  ")[::-1] for line in capsys.readouterr().out.splitlines())
    asked = read_shot_file(str(shot_file))
    assert sums == {str(path): digest for path, digest in parts.verify(asked).items()} and len(sums) == 20


def test_the_machine_may_differ_from_the_file(tiny_model, tmp_path, plate, capsys) -> None:
    asked = request(tiny_model, tmp_path, plate=plate)
    path = tmp_path / "shot.json"
    path.write_text(asked.to_json())
    assert run(["part", "prepare", str(path), "--device", "cpu", "--memory", "low"]) == 0
    assert run(["part", "prepare", str(path), "--memory", "tiny"]) == 2
    assert "memory must be" in capsys.readouterr().err
