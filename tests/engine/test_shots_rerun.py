"""A frame's own header is enough to make its whole sequence again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from pictures import gradient, write_image
from rendering import contents, frames, render, stopping_at, write_plate
from tiny import write_tiny_model

from layerflow import exr, shots
from layerflow.errors import Interrupted, ModelError, OutputError, PlateError, RequestError

pytestmark = pytest.mark.usefixtures("one_thread")

ODD = {"foreground": 'a "dog"; `id` \U0001f415\n', "alpha": "premultiplied", "guidance": 2.5, "steps": 2, "seed": 9}


@pytest.mark.parametrize("task", ["decompose", "generate"])
def test_rerun_gives_the_same_bytes(tiny_model: Path, tmp_path: Path, task: str) -> None:
    plate = write_plate(tmp_path / "plate") if task == "decompose" else None
    made = render(tiny_model, tmp_path / "first", task=task, plate=plate, sampler="sde", **ODD)
    frame = made.frames[len(made.frames) // 2]
    again = shots.rerun(str(frame), output=str(tmp_path / "again" / "dog.%04d.exr"))
    assert len(again.frames) == len(made.frames) and again.seed == 9
    assert contents(tmp_path / "again") == contents(tmp_path / "first")


def test_rerun_in_place(tiny_model: Path, tmp_path: Path) -> None:
    made = render(tiny_model, tmp_path, task="generate", num_frames=3)
    before, stamp = contents(tmp_path), made.frames[0].stat().st_mtime_ns
    with pytest.raises(OutputError, match="already there"):
        shots.rerun(str(made.frames[1]))
    made.frames[0].unlink()
    again = shots.rerun(str(made.frames[1]), overwrite=True)
    assert again.frames == made.frames and contents(tmp_path) == before
    assert again.frames[0].stat().st_mtime_ns > stamp


def test_a_stopped_rerun_goes_on(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = str(render(tiny_model, tmp_path / "first", task="generate", num_frames=9).frames[0])
    again = str(tmp_path / "again" / "dog.%04d.exr")
    with pytest.raises(Interrupted), monkeypatch.context() as patch:
        shots.rerun(frame, output=again, stopped=stopping_at(5, patch))
    assert len(frames(tmp_path / "again")) == 4
    shots.rerun(frame, output=again, resume=True)
    assert contents(tmp_path / "again") == contents(tmp_path / "first")


def test_relative_paths_survive_a_change_of_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny_model(tmp_path / "tiny")
    write_plate(tmp_path / "plate", count=2)
    monkeypatch.chdir(tmp_path)
    made = render(Path("tiny"), tmp_path / "out", plate="plate/dog.####.exr")
    monkeypatch.chdir(tmp_path / "out")
    shots.rerun(str(made.frames[0]), output="../again/dog.%04d.exr")
    assert contents(tmp_path / "again") == contents(tmp_path / "out")


def test_a_frame_under_another_name(tiny_model: Path, tmp_path: Path) -> None:
    made = render(tiny_model, tmp_path / "out", task="generate", num_frames=2)
    copy = shutil.copy(made.frames[0], tmp_path / "hero.exr")
    again = shots.rerun(str(copy))
    assert [path.name for path in again.frames] == ["hero.0001.exr", "hero.0002.exr"]
    with pytest.raises(RequestError, match="digit next to the frame number"):
        shots.rerun(str(copy), output=str(tmp_path / "take2%04d.exr"))
    with pytest.raises(RequestError, match="exactly one %04d"):
        shots.rerun(str(copy), output=str(tmp_path / "take.exr"))


def test_another_model_of_that_name_is_refused(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "model")
    made = render(model, tmp_path / "out", task="generate", num_frames=1)
    shutil.rmtree(model)
    with pytest.raises(ModelError, match="there is no model"):
        shots.rerun(str(made.frames[0]), output=str(tmp_path / "again.%04d.exr"))
    write_tiny_model(model, seed=1)
    with pytest.raises(RequestError, match=r"is not the one that made .*; install that version"):
        shots.rerun(str(made.frames[0]), output=str(tmp_path / "again.%04d.exr"))
    assert not list(tmp_path.glob("again*"))


@pytest.mark.parametrize("name", ["nowhere.exr", "foreign.exr", "text.exr", "folder.exr"])
def test_what_is_no_frame_of_ours_is_refused(tmp_path: Path, name: str) -> None:
    write_image(tmp_path / "foreign.exr", gradient())
    (tmp_path / "text.exr").write_text("a dog")
    (tmp_path / "folder.exr").mkdir()
    with pytest.raises(PlateError, match=r"is not there|not written by LayerFlow|not a readable EXR"):
        shots.rerun(str(tmp_path / name))


@pytest.mark.parametrize(
    "text", ["5", "[]", "null", "{", "{}", '{"task": "decompose"}', '{"task": "generate", "x": 1}']
)
def test_a_forged_request_is_refused(tmp_path: Path, text: str) -> None:
    write_image(tmp_path / "a.exr", gradient(), layerflow__request=text)
    assert exr.read_header(tmp_path / "a.exr")["layerflow:request"] == text
    with pytest.raises(PlateError, match=r"the request in .*a\.exr cannot be read"):
        shots.rerun(str(tmp_path / "a.exr"))


def test_a_forged_header_does_not_reach_another_model(tiny_model: Path, tmp_path: Path) -> None:
    asked = {"task": "generate", "foreground": "a", "background": "b", "model": str(tiny_model)}
    write_image(tmp_path / "a.exr", gradient(), layerflow__request=json.dumps(asked))
    with pytest.raises(RequestError, match="is not the one that made"):
        shots.rerun(str(tmp_path / "a.exr"))


def test_a_layer_s_own_sequence_is_not_written_over(tiny_model: Path, tmp_path: Path) -> None:
    made = render(tiny_model, tmp_path / "out", task="generate", num_frames=2, per_layer=True)
    before = contents(tmp_path / "out")
    own = str(made.per_layer["foreground"][0])
    with pytest.raises(RequestError, match=r"one layer's own sequence.*-o"):
        shots.rerun(own, overwrite=True)
    assert contents(tmp_path / "out") == before
    again = shots.rerun(own, output=str(tmp_path / "again" / "dog.%04d.exr"))
    assert again.frames[1].read_bytes() == made.frames[1].read_bytes()


def test_a_changed_plate_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    plate = write_plate(tmp_path / "plate", count=3)
    made = render(tiny_model, tmp_path / "out", plate=plate)
    write_plate(tmp_path / "plate", count=3, dim=0.5)
    with pytest.raises(PlateError, match=r"frame 1002 of .* has changed since .*dog.1002.exr was made"):
        shots.rerun(str(made.frames[1]), output=str(tmp_path / "again" / "dog.%04d.exr"))
    assert not (tmp_path / "again").exists()
    write_plate(tmp_path / "plate", count=3)  # the same pixels in new files
    again = shots.rerun(str(made.frames[1]), output=str(tmp_path / "again" / "dog.%04d.exr"))
    assert again.frames[2].read_bytes() == made.frames[2].read_bytes()
