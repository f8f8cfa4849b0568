"""What an unfinished shot keeps, takes up again and leaves behind."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from layerflow import exr
from layerflow.errors import OutputError
from layerflow.files import FramePattern
from layerflow.journal import Journal, now_and_then
from layerflow.layers import LayerStack, PictureFormat
from layerflow.sampler import SamplerState

REQUEST = json.dumps({"task": "decompose", "seed": 3, "steps": None})
RECORD = {"layerflow:request": REQUEST, "layerflow:seed": "3", "layerflow:modelSha256": "abc"}


def journal(folder: Path, **changes: str) -> Journal:
    return Journal.beside(FramePattern.parse(str(folder / "dog.%04d.exr")), {**RECORD, **changes})


def state(step: int = 2, fill: float = 1.0) -> SamplerState:
    generator = torch.Generator().manual_seed(step)
    noise = torch.randn(1, 2, 3, 4, 5, generator=generator)
    return SamplerState(step=step, latents=noise, previous=noise * fill, generator=generator.get_state())


def write_frame(path: Path, header: dict[str, str]) -> None:
    pixels = np.full((1, 4, 6, 3), 0.5, np.float32)
    stack = LayerStack(layers={"background": pixels}, frames=(1,), format=PictureFormat(width=6, height=4))
    exr.write_frame(path, stack, 0, header=header)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [("dog.%04d.exr", ".dog.layerflow"), ("a b_####.exr", ".a b_layerflow"), ("%04d.exr", ".shot.layerflow")],
)
def test_it_lies_hidden_beside_the_frames(tmp_path: Path, pattern: str, name: str) -> None:
    assert Journal.beside(FramePattern.parse(str(tmp_path / pattern)), RECORD).folder == tmp_path / name


def test_nothing_is_written_before_the_first_state(tmp_path: Path) -> None:
    assert not journal(tmp_path).open(resume=False) and not journal(tmp_path).open(resume=True)
    assert not list(tmp_path.iterdir())


def test_a_state_comes_back_bit_for_bit(tmp_path: Path) -> None:
    kept = journal(tmp_path)
    kept.save(0, state(1), plans=("full",), backend="eager")
    kept.save(0, state(2), plans=("full",), backend="eager")
    kept.save(11, state(3), plans=("full",), backend="eager")
    again = journal(tmp_path)
    assert again.open(resume=True)
    for window, expected in ((0, state(2)), (11, state(3))):
        loaded = again.load(window)
        assert loaded.step == expected.step
        assert all(torch.equal(value, expected.tensors()[name]) for name, value in loaded.tensors().items())
    assert again.load(1) is None
    again.drop(0)
    again.drop(0)
    assert again.load(0) is None and again.load(11) is not None


def test_closing_leaves_nothing(tmp_path: Path) -> None:
    kept = journal(tmp_path)
    kept.save(0, state(), plans=("full",), backend="eager")
    kept.close()
    kept.close()
    assert not list(tmp_path.iterdir())


def test_starting_anew_forgets(tmp_path: Path) -> None:
    journal(tmp_path).save(0, state(), plans=("full",), backend="eager")
    fresh = journal(tmp_path, **{"layerflow:seed": "4"})
    assert not fresh.open(resume=False) and fresh.load(0) is None and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"layerflow:request": REQUEST.replace("3", "4")}, "seed"),
        ({"layerflow:request": REQUEST.replace("null", "7").replace("decompose", "generate")}, "steps, task"),
        ({"layerflow:modelSha256": "def"}, "modelSha256"),
    ],
)
def test_another_request_is_refused_by_what_differs(tmp_path: Path, changes: dict[str, str], named: str) -> None:
    journal(tmp_path).save(0, state(), plans=("full",), backend="eager")
    with pytest.raises(OutputError, match=f"was made with another {named}; repeat its options, or pass --overwrite"):
        journal(tmp_path, **changes).open(resume=True)
    assert journal(tmp_path).load(0) is not None


@pytest.mark.parametrize("text", ["", "{", "[]", "5", "\0"])
def test_an_unreadable_record_counts_as_none_and_its_states_too(tmp_path: Path, text: str) -> None:
    kept = journal(tmp_path)
    kept.save(0, state(), plans=("full",), backend="eager")
    (kept.folder / "request.json").write_text(text)
    assert not kept.open(resume=True) and kept.load(0) is None


@pytest.mark.parametrize("text", ["5", "[1]", "not JSON"])
def test_a_record_whose_request_makes_no_sense_is_another_one(tmp_path: Path, text: str) -> None:
    journal(tmp_path, **{"layerflow:request": text}).save(0, state(), plans=("full",), backend="eager")
    with pytest.raises(OutputError, match="was made with another"):
        journal(tmp_path).open(resume=True)


@pytest.mark.parametrize(
    "damage", [lambda data: b"", lambda data: data[:50], lambda data: data[:-1], lambda data: b"\xff" * 99]
)
def test_a_damaged_state_counts_as_none(tmp_path: Path, damage) -> None:
    kept = journal(tmp_path)
    kept.save(0, state(), plans=("full",), backend="eager")
    (file,) = kept.folder.glob("*.safetensors")
    file.write_bytes(damage(file.read_bytes()))
    assert kept.load(0) is None


def test_it_tells_its_own_frames_from_others(tmp_path: Path) -> None:
    kept, path = journal(tmp_path), tmp_path / "dog.0001.exr"
    assert not kept.has_written(path) and not kept.is_foreign(path)
    write_frame(path, {**RECORD, "layerflow:version": "9"})
    assert kept.has_written(path) and not kept.is_foreign(path)
    path.write_bytes(path.read_bytes()[:-40])
    assert not kept.has_written(path) and not kept.is_foreign(path)
    for other in ({**RECORD, "layerflow:seed": "4"}, {}):
        write_frame(path, other)
        assert not kept.has_written(path) and kept.is_foreign(path)


@pytest.mark.parametrize("change", [lambda file: file.write_bytes(b"4321"), lambda file: os.utime(file, (1, 2))])
def test_a_plate_that_changed_is_refused_by_its_file(tmp_path: Path, change) -> None:
    files = [tmp_path / f"plate.{frame}.exr" for frame in (1, 2)]
    for file in files:
        file.write_bytes(b"1234")
        os.utime(file, (1, 1))
    pattern = FramePattern.parse(str(tmp_path / "out" / "dog.%04d.exr"))
    Journal.beside(pattern, RECORD, files).save(0, state(), plans=("full",), backend="eager")
    assert Journal.beside(pattern, RECORD, files).open(resume=True)
    change(files[1])
    with pytest.raises(OutputError, match=r"plate\.2\.exr has changed since .*; put the old file back"):
        Journal.beside(pattern, RECORD, files).open(resume=True)
    assert not Journal.beside(pattern, RECORD, files).open(resume=False)


@pytest.mark.parametrize("text", ["null", "[]", '{"plate.1.exr": 5}'])
def test_a_journal_that_does_not_say_what_its_plate_was_is_not_gone_on_with(tmp_path: Path, text: str) -> None:
    file = tmp_path / "plate.1.exr"
    file.write_bytes(b"1234")
    kept = Journal.beside(FramePattern.parse(str(tmp_path / "dog.%04d.exr")), RECORD, [file])
    kept.save(0, state(), plans=("full",), backend="eager")
    (kept.folder / "request.json").write_text(json.dumps({**RECORD, "plate_files": json.loads(text)}))
    with pytest.raises(OutputError, match=r"plate\.1\.exr has changed"):
        kept.open(resume=True)


def test_something_else_in_its_place_is_a_sentence(tmp_path: Path) -> None:
    kept = journal(tmp_path)
    kept.folder.write_text("mine")
    kept.open(resume=False)
    with pytest.raises(OutputError, match=r"is a file, not a folder; choose another output folder"):
        kept.save(0, state(), plans=("full",), backend="eager")
    assert kept.folder.read_text() == "mine"


def test_states_are_kept_now_and_then_and_the_last_in_any_case() -> None:
    times, kept = iter([0.0, 0.0, 0.5, 0.9, 1.2, 1.2, 1.3]), list[int]()
    with now_and_then(lambda state: kept.append(state.step), lambda: next(times)) as keep:
        for step, expected in ((1, [1]), (2, [1]), (3, [1]), (4, [1, 4]), (5, [1, 4])):
            keep(state(step))
            assert kept == expected
    assert kept == [1, 4, 5]


def test_a_stopped_run_keeps_the_state_it_came_to() -> None:
    kept = list[int]()
    with pytest.raises(KeyboardInterrupt), now_and_then(lambda state: kept.append(state.step), lambda: 0.0) as keep:
        keep(state(1))
        keep(state(2))
        raise KeyboardInterrupt
    assert kept == [1, 2]
