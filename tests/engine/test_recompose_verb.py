"""`layerflow recompose` on frames that were really written."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from layerflow import exr
from layerflow.cli.app import run
from layerflow.layers import LayerStack, PictureFormat, over


@pytest.fixture
def shot(rng, tmp_path):
    """Three frames of known layers, written; the blended picture of the last is off by 0.25 in one channel."""
    foreground = rng.random((3, 9, 17, 4), dtype=np.float32)
    background = rng.random((3, 9, 17, 3), dtype=np.float32)
    blended = over(foreground, background)
    blended[2, 4, 5, 0] += 0.25
    layers = {"foreground": foreground, "background": background, "blended": blended}
    stack = LayerStack(layers=layers, frames=(1001, 1002, 1003), format=PictureFormat(width=17, height=9))
    for index, frame in enumerate(stack.frames):
        exr.write_frame(tmp_path / f"dog.{frame}.exr", stack, index, header={})
    return tmp_path / "dog.####.exr"


def recompose(capsys, *arguments):
    code = run(["recompose", *map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_the_difference_is_found_and_the_frames_are_written(shot, tmp_path, capsys):
    code, report = recompose(capsys, shot, "-o", tmp_path / "again.%04d.exr")
    assert code == 0
    assert report["frames"] == [str(tmp_path / f"again.{frame}.exr") for frame in (1001, 1002, 1003)]
    assert report["max_error"] == pytest.approx(0.25, abs=2e-3)  # half-float layers
    assert report["mean_error"] == pytest.approx(0.25 / (3 * 9 * 17 * 3), abs=5e-4)
    assert report["psnr_db"] == pytest.approx(-10 * math.log10(0.25**2 / (3 * 9 * 17 * 3)), abs=0.1)


def test_the_written_picture_is_the_layers_over_each_other(shot, tmp_path, capsys):
    recompose(capsys, shot, "-o", tmp_path / "again.%04d.exr")
    source, written = exr.read_stack([tmp_path / "dog.1001.exr"]), exr.read_stack([tmp_path / "again.1001.exr"])
    assert list(written.layers) == ["blended"]
    expected = over(source.layers["foreground"], source.layers["background"])
    np.testing.assert_allclose(written.layers["blended"], expected, atol=5e-4)


def test_one_frame(shot, tmp_path, capsys):
    code, report = recompose(capsys, tmp_path / "dog.1002.exr", "-o", tmp_path / "again.%04d.exr")
    assert code == 0 and report["frames"] == [str(tmp_path / "again.1002.exr")]
    assert report["max_error"] < 2e-3


def test_the_sentence_for_people(shot, tmp_path, capsys):
    assert run(["recompose", str(shot), "-o", str(tmp_path / "again.%04d.exr")]) == 0
    assert "against the stored blended picture: max 0.2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("layers", "output", "exit_code", "words"),
    [
        ("cat.####.exr", "again.%04d.exr", 3, "no file matches"),
        ("nowhere/dog.####.exr", "again.%04d.exr", 3, "nowhere is not there"),
        ("nowhere.exr", "again.%04d.exr", 3, "there is no file"),
        ("movie.mov", "again.%04d.exr", 3, "is a movie"),
        ("dog.####.exr", "dog.%04d.exr", 6, "is one of the files that are read"),
        ("dog.####.exr", "again.exr", 6, "exactly one %04d"),
        ("text.0001.exr", "again.%04d.exr", 3, "is not a readable EXR"),
    ],
)
def test_refusals_leave_no_file(shot, tmp_path, capsys, layers, output, exit_code, words):
    (tmp_path / "text.0001.exr").write_text("not a picture")
    (tmp_path / "movie.mov").touch()
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    code, report = recompose(capsys, tmp_path / layers, "-o", tmp_path / output, "--overwrite")
    assert code == exit_code and words in report["error"]
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_frames_that_are_there_are_kept(shot, tmp_path, capsys):
    (tmp_path / "again.1002.exr").write_text("mine")
    code, report = recompose(capsys, shot, "-o", tmp_path / "again.%04d.exr")
    assert code == 6 and "pass --overwrite or choose another output" in report["error"]
    assert (tmp_path / "again.1002.exr").read_text() == "mine"


def test_frames_without_layers_are_refused(shot, tmp_path, capsys):
    recompose(capsys, shot, "-o", tmp_path / "again.%04d.exr")
    code, report = recompose(capsys, tmp_path / "again.####.exr", "-o", tmp_path / "third.%04d.exr")
    assert code == 3 and "has no foreground layer" in report["error"]
