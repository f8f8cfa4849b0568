"""A layered shot goes on: its last frames are known, its numbers count on, and it stays what it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from rendering import channels, frames, header, render, request, write_plate
from tiny import write_tiny_model

from layerflow import shots
from layerflow.cli.app import run
from layerflow.errors import Interrupted, OutputError, PlateError, RequestError
from layerflow.pipeline import sample_clip
from layerflow.shot import Shot
from layerflow.wire import Request

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def shot(model, tmp_path_factory) -> Path:
    """Ten frames from 1, generated."""
    folder = tmp_path_factory.mktemp("shot")
    render(model, folder, task="generate", num_frames=10, seed=5)
    return folder / "dog.%04d.exr"


def longer(model: Path, shot: Path, output: Path, count: int, **changes) -> shots.ShotResult:
    return render(model, output, task="edit", plate=str(shot), extend=count, foreground="", background="", **changes)


@pytest.mark.parametrize("count", [1, 4, 9, 13])
def test_it_goes_on_where_it_ended(model, shot, tmp_path, count) -> None:
    before = frames(shot.parent)
    result = longer(model, shot, tmp_path, count)
    assert [path.name for path in result.frames] == [f"dog.{11 + each:04d}.exr" for each in range(count)]
    assert len(frames(tmp_path)) == count and frames(shot.parent) == before
    assert header(result.frames[0])["layerflow:layers"] == "foreground,background,blended"
    assert channels(result.frames[0]).keys() == channels(shot.parent / "dog.0001.exr").keys()


def test_its_words_are_the_shots_own(model, shot, tmp_path) -> None:
    made = Request.from_json(header(longer(model, shot, tmp_path / "own", 1).frames[0])["layerflow:request"])
    assert (made.foreground, made.background, made.task) == ("a red dog", "the garden at night", "generate")
    other = render(model, tmp_path / "other", task="edit", plate=str(shot), extend=1, foreground="a dog", background="")
    made = Request.from_json(header(other.frames[0])["layerflow:request"])
    assert (made.foreground, made.background) == ("a dog", "the garden at night")


def test_the_first_window_knows_the_last_frames(model, shot, tmp_path, monkeypatch) -> None:
    seen = []

    def sample(engine, conditions, *rest, **named):
        seen.append((engine, conditions))
        return sample_clip(engine, conditions, *rest, **named)

    monkeypatch.setattr("layerflow.shot.sample_clip", sample)
    longer(model, shot, tmp_path, 9)
    assert len(seen) == 3  # the frames that are known, those after them, and the last
    (engine, first), (_, second), _ = seen
    known, layout = first.known, first.layout
    assert known.mask.tolist() == [True, False] * len(layout.layers)
    asked = request(model, tmp_path / "again", task="generate", plate=str(shot), extend=9)
    prepared = Shot.prepare(asked, print, lambda: False)
    clips = prepared.ending.clips(layout, prepared.fit)
    assert {name: clip.shape for name, clip in clips.items()} == dict.fromkeys(layout.layers, (8, 3, 32, 48))
    last = engine.codec.encode(torch.cat([clips[name] for name in layout.layers]), None)[1::2]
    torch.testing.assert_close(known.latents[0, known.mask], last)
    assert second.known is not None


def test_a_shot_that_is_shorter_than_a_window(model, tmp_path) -> None:
    render(model, tmp_path / "short", task="generate", num_frames=2)
    result = longer(model, tmp_path / "short" / "dog.%04d.exr", tmp_path / "out", 3)
    assert [path.name for path in result.frames] == ["dog.0003.exr", "dog.0004.exr", "dog.0005.exr"]


def test_a_plate_that_was_taken_apart_goes_on_too(model, tmp_path) -> None:
    render(model, tmp_path / "apart", plate=write_plate(tmp_path / "plate", count=9))
    result = longer(model, tmp_path / "apart" / "dog.%04d.exr", tmp_path / "out", 5)
    assert [path.name for path in result.frames] == [f"dog.{number}.exr" for number in range(1010, 1015)]
    assert header(result.frames[0])["framesPerSecond"] == header(tmp_path / "apart" / "dog.1001.exr")["framesPerSecond"]


@pytest.mark.parametrize("steps", [1, 4, 7])
def test_it_is_stopped_and_goes_on_to_the_same_bits(model, shot, tmp_path, steps) -> None:
    longer(model, shot, tmp_path / "whole", 9)
    seen = []
    with pytest.raises(Interrupted):
        longer(
            model,
            shot,
            tmp_path / "out",
            9,
            on_event=lambda event: seen.append(event) if event.kind == "step" else None,
            stopped=lambda: len(seen) >= steps,
        )
    longer(model, shot, tmp_path / "out", 9, resume=True)
    assert frames(tmp_path / "out") == frames(tmp_path / "whole")


def test_a_frame_is_made_again_though_the_shot_went_on_elsewhere(model, shot, tmp_path) -> None:
    result = longer(model, shot, tmp_path / "out", 3)
    again = shots.rerun(str(result.frames[1]), output=str(tmp_path / "again" / "dog.%04d.exr"))
    assert [path.read_bytes() for path in again.frames] == [path.read_bytes() for path in result.frames]


def test_a_shot_that_changed_is_said_to_have(model, tmp_path) -> None:
    render(model, tmp_path / "shot", task="generate", num_frames=3)
    (path,) = longer(model, tmp_path / "shot" / "dog.%04d.exr", tmp_path / "out", 1).frames
    render(model, tmp_path / "shot", task="generate", num_frames=3, seed=9, overwrite=True)
    with pytest.raises(PlateError, match="has changed since"):
        shots.rerun(str(path), output=str(tmp_path / "again" / "dog.%04d.exr"))


def test_it_never_writes_into_the_shot_itself(model, shot) -> None:
    before = frames(shot.parent)
    with pytest.raises(OutputError, match="choose another output"):
        longer(model, shot, shot.parent, 3, overwrite=True)
    assert frames(shot.parent) == before


def test_what_cannot_go_on_is_one_sentence(model, tmp_path) -> None:
    plate = write_plate(tmp_path / "plate", count=1)
    with pytest.raises(RequestError, match="has the layers none; extend a shot of one foreground over a background"):
        render(model, tmp_path / "out", task="edit", plate=plate, extend=3)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"task": "decompose", "extend": 3}, "extend is for edit"),
        ({"extend": 3, "keep": ("foreground",)}, "leave one of them out"),
        ({"extend": 0}, "extend"),
        ({"extend": 3, "last_frame": 9, "first_frame": 2}, "leave out which frames to make"),
        ({"extend": 3, "width": 64}, "width is for generate only"),
    ],
)
def test_a_request_says_what_it_cannot_extend(values, sentence) -> None:
    with pytest.raises(ValueError, match=sentence):
        Request(**{"task": "edit", "plate": "dog.%04d.exr", "foreground": "a dog", "background": "snow", **values})


def test_the_command(model, shot, tmp_path) -> None:
    output = str(tmp_path / "dog.%04d.exr")
    assert run(["edit", str(shot), "--extend", "2", "--model", str(model), "-o", output]) == 0
    assert np.isfinite(channels(Path(output % 12))["foreground.A"]).all()
