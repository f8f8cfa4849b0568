"""Every bad file and every bad request, given to the real command line: its exit code, one sentence, no output."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from bad_plates import BAD_PLATES, BadPlate
from pictures import write_sequence
from rendering import contents

from layerflow.cli.app import run

pytestmark = pytest.mark.usefixtures("one_thread")


def decompose(model: Path, plate: str, output: Path, *more: str) -> list[str]:
    pattern = [] if {"-o", "--output"} & set(more) else ["-o", str(output / "dog.%04d.exr")]
    return ["decompose", *pattern, "--model", str(model), "--json", *more, "--", plate]


def check_refusal(capsys: pytest.CaptureFixture[str], exit_code: int, expected: int) -> str:
    """The one sentence on stderr; stdout ends in the same as JSON."""
    out, err = capsys.readouterr()
    said = [line for line in err.splitlines() if line.startswith("layerflow: ")]
    assert exit_code == expected and len(said) == 1 and err.splitlines()[-1] == said[0] and "Traceback" not in err
    sentence = said[0].removeprefix("layerflow: ")
    assert json.loads(out.splitlines()[-1]) == {"error": sentence, "exit_code": expected}
    return sentence


def frame_options(bad: BadPlate) -> list[str]:
    options = dict(bad.options)
    first, last = options.pop("first_frame", None), options.pop("last_frame", None)
    more = [] if first is None else ["--frames", f"{first}-{last}"]
    return more + [word for name, value in options.items() for word in (f"--{name}", str(value))]


@pytest.mark.parametrize("bad", BAD_PLATES.values(), ids=BAD_PLATES)
def test_a_bad_plate(tiny_model: Path, tmp_path: Path, capsys, bad: BadPlate) -> None:
    (tmp_path / "in").mkdir()
    plate = bad.build(tmp_path / "in")
    before = set((tmp_path / "in").rglob("*"))
    exit_code = run(decompose(tiny_model, plate, tmp_path / "out", *frame_options(bad)))
    check_refusal(capsys, exit_code, exit_code)
    assert exit_code in (2, bad.error.exit_code)  # 2: what the request forbids is told before the plate is looked at
    assert not contents(tmp_path / "out") and set((tmp_path / "in").rglob("*")) == before


def test_nearly_all_bad_plates_are_told_by_the_plate_itself(tiny_model: Path, tmp_path: Path, capsys) -> None:
    codes = {}
    for name, bad in BAD_PLATES.items():
        (tmp_path / name).mkdir()
        command = decompose(tiny_model, bad.build(tmp_path / name), tmp_path / "out", *frame_options(bad))
        codes[name] = run(command)
    by_request = {name for name, code in codes.items() if code == 2}
    assert len(codes) - len(by_request) >= 30
    assert by_request <= {
        "empty_path",
        "newline_in_the_path",
        "nul_in_the_path",
        "an_address",
        "a_file_address",
        "first_after_last",
    }


BAD_REQUESTS = {
    "first after last": (["--frames", "1003-1001"], "write 1001-1003"),
    "frames in words": (["--frames", "all"], "written like 1001-1016"),
    "negative frames": (["--frames", "-5-3"], "written like 1001-1016"),
    "NUL in a prompt": (["--foreground", "a\0dog"], r"control character U\+0000 at position 2"),
    "escape in a prompt": (["--blended", "a\x1b[2Jdog"], r"control character U\+001B"),
    "half a character in a prompt": (["--foreground", "dog \ud800"], r"control character U\+D800"),
    "seed below 0": (["--seed", "-1"], "seed must be from 0"),
    "seed of 2^63": (["--seed", str(2**63)], "seed must be from 0"),
    "seed of 2^64": (["--seed", str(2**64)], "seed must be from 0"),
    "seed in words": (["--seed", "lucky"], "not a valid integer"),
    "no steps": (["--steps", "0"], "steps must be from 1"),
    "a million steps": (["--steps", "1000000"], "steps must be from 1 to 1000"),
    "guidance nan": (["--guidance", "nan"], "guidance must be from"),
    "guidance inf": (["--guidance", "inf"], "guidance must be from"),
    "guidance below 0": (["--guidance", "-1"], "guidance must be from"),
    "unknown sampler": (["--sampler", "euler"], "is not one of"),
    "two fields": (["-o", "out/dog.%04d.%04d.exr"], "exactly one %04d"),
    "no field": (["-o", "out/dog.exr"], "exactly one %04d"),
    "field in the folder": (["-o", "out.%04d/dog.%04d.exr"], "exactly one %04d"),
    "field beside digits": (["-o", "out/take2####.exr"], "digit next to the frame number"),
    "output as PNG": (["-o", "out/dog.%04d.png"], "must end in .exr"),
    "newline in the output": (["-o", "out/a\nb.%04d.exr"], r"control character U\+000A"),
    "NUL in the output": (["-o", "out/a\0b.%04d.exr"], r"control character U\+0000"),
    "output on the net": (["-o", "s3://bucket/dog.%04d.exr"], "local file"),
    "fps nan": (["--fps", "nan"], "fps must be from"),
    "fps 0": (["--fps", "0"], "fps must be from"),
    "empty model": (["--model", " "], "model is empty"),
    "unknown device": (["--device", "toaster"], "no device 'toaster'"),
    "unknown backend": (["--backend", "magic"], "no backend 'magic'"),
}


@pytest.mark.parametrize(("more", "sentence"), BAD_REQUESTS.values(), ids=BAD_REQUESTS)
def test_a_bad_request(tiny_model: Path, tmp_path: Path, capsys, monkeypatch, more: list[str], sentence: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    plate = write_sequence(tmp_path / "in")
    said = check_refusal(capsys, run(decompose(tiny_model, plate, tmp_path / "out", *more)), 2)
    assert re.search(sentence, said)
    assert not contents(tmp_path / "out") and set(tmp_path.iterdir()) <= {tmp_path / "in", tmp_path / "out"}


@pytest.mark.parametrize(
    ("more", "code", "sentence"),
    [
        (["-o", "out/" + "n" * 300 + ".%04d.exr"], 6, "too long for this disk"),
        (["-o", "in/dog.1001.exr/out.%04d.exr"], 6, "is a file, not a folder"),
        (["-o", "in/dog.%04d.exr"], 6, "is one of the files that are read; choose another output"),
        (["--output-colorspace", "ACESgc"], 4, "no colour space 'ACESgc'"),
        (["--colorspace", "ACESgc"], 4, "no colour space 'ACESgc'"),
        (["--model", "nowhere"], 5, "there is no model 'nowhere'"),
        (["--model", "in"], 5, "there is no model 'in'"),
        (["--frames", "990-1002"], 3, "990-1002 are asked for"),
        (["--frames", "1005-1005"], 3, "1005-1005 are asked for"),
    ],
)
def test_a_request_that_does_not_suit_what_is_there(tiny_model, tmp_path, capsys, monkeypatch, more, code, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    plate = write_sequence(tmp_path / "in")
    before = contents(tmp_path / "in")
    assert sentence in check_refusal(capsys, run(decompose(tiny_model, plate, tmp_path / "out", *more)), code)
    assert not contents(tmp_path / "out") and contents(tmp_path / "in") == before


def test_a_good_plate_by_the_same_words(tiny_model: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    """What the refusals above are held against; here the model is found by its name."""
    monkeypatch.setenv("LAYERFLOW_MODELS", str(tiny_model.parent))
    (tmp_path / "in").mkdir()
    plate = write_sequence(tmp_path / "in")
    assert run(decompose(Path("tiny"), plate, tmp_path / "out")) == 0
    out, err = capsys.readouterr()
    assert [Path(path).name for path in json.loads(out.splitlines()[-1])["frames"]] == sorted(
        contents(tmp_path / "out")
    )
    assert "layerflow: " not in err


def test_a_whole_process_that_refuses(tiny_model: Path, tmp_path: Path) -> None:
    """As a farm would start it: the installed entry point, closed stdin, no terminal."""
    command = [sys.executable, "-c", "from layerflow.cli import main; main()"]
    command += decompose(tiny_model, str(tmp_path / "none.%04d.exr"), tmp_path / "out")
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert (
        done.returncode == 3 and done.stderr.startswith("layerflow: no file matches") and done.stderr.count("\n") == 1
    )
    assert json.loads(done.stdout)["exit_code"] == 3 and not (tmp_path / "out").exists()
