"""Shots that take a plate apart, read back by another program's library: exact, one foreground or several."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pictures import write_image
from rendering import PROMPTS, channels, frames, header, render, request, stopping_at, write_plate
from test_recomposition import allowed, half
from tiny import write_tiny_model

from layerflow import color, shots
from layerflow.cli.app import run
from layerflow.errors import Interrupted
from layerflow.layers import foreground_names
from layerflow.pipeline import Clip, encode_clip
from layerflow.wire import Request

pytestmark = pytest.mark.usefixtures("one_thread")

TWO = {"foreground": "", "foregrounds": ("a red dog", "the garden")}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


def over(path: Path, names: tuple[str, ...]) -> np.ndarray:
    """The layers of an EXR over each other, in float32."""
    planes = channels(path)
    picture = rgb(planes, "background.")
    for name in reversed(names):
        alpha = planes[f"{name}.A"][..., None]
        picture = rgb(planes, f"{name}.") * alpha + picture * (1 - alpha)
    return picture + rgb(planes, "residual.") if "residual.R" in planes else picture


def rgb(planes: dict[str, np.ndarray], layer: str) -> np.ndarray:
    return np.stack([planes[f"{layer}{letter}"] for letter in "RGB"], axis=-1)


@pytest.mark.parametrize("changes", [{}, TWO, {"foreground": "", "foregrounds": ("a dog", "a dog", "the night")}])
def test_the_written_layers_are_the_plate(model: Path, tmp_path: Path, changes: dict) -> None:
    plate = write_plate(tmp_path / "plate", count=10, size=(37, 61), dim=40.0)
    names = foreground_names(len(changes.get("foregrounds", "1")))
    result = render(model, tmp_path / "out", plate=plate, **changes)
    assert len(result.frames) == 10
    for number, path in enumerate(result.frames, start=1001):
        seen = half(rgb(channels(tmp_path / "plate" / f"dog.{number}.exr"), ""))
        assert (np.abs(over(path, names).astype(np.float64) - seen) < allowed(seen)).all()
        np.testing.assert_array_equal(rgb(channels(path), ""), seen)
        assert header(path)["layerflow:layers"] == ",".join((*names, "background", "blended"))
        assert "layerflow:residualEnergy" not in header(path)


def test_each_foreground_has_its_own_prompt_and_those_behind_belong_to_its_background(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Clip] = []

    def encode(engine, clip: Clip):
        asked.append(clip)
        return encode_clip(engine, clip)

    monkeypatch.setattr("layerflow.showing.encode_clip", encode)
    render(model, tmp_path / "out", plate=write_plate(tmp_path / "plate", count=1), background="night", **TWO)
    assert [(clip.prompts["foreground"], clip.prompts["background"]) for clip in asked] == [
        ("a red dog", "the garden, night"),
        ("the garden", "night"),
    ]
    first, second = (clip.given["blended"] for clip in asked)
    assert first.shape == second.shape and not first.equal(second)


def test_the_second_foreground_is_another_layer(model: Path, tmp_path: Path) -> None:
    plate = write_plate(tmp_path / "plate", count=1)
    (path,) = render(model, tmp_path / "out", plate=plate, **TWO).frames
    planes = channels(path)
    assert not np.array_equal(planes["foreground1.A"], planes["foreground2.A"])
    (alone,) = render(model, tmp_path / "alone", plate=plate, foreground="a red dog").frames
    assert not np.array_equal(channels(alone)["background.R"], planes["background.R"])


@pytest.mark.parametrize("step", [1, 3, 4, 5])
def test_a_stopped_shot_goes_on_to_the_same_bits(model: Path, tmp_path: Path, step: int) -> None:
    """In the first foreground, between the two, in the second; of the second window."""
    plate = write_plate(tmp_path / "plate", count=11)
    render(model, tmp_path / "whole", plate=plate, **TWO)
    done = []

    def on_event(event) -> None:
        if event.kind == "step":
            done.append(event.done)

    with pytest.raises(Interrupted):
        render(model, tmp_path / "out", plate=plate, on_event=on_event, stopped=lambda: len(done) >= 6 + step, **TWO)
    assert done == list(range(1, 7 + step))
    render(model, tmp_path / "out", plate=plate, resume=True, on_event=on_event, **TWO)
    assert done[-1] == 12 and done.count(6 + step) <= 2
    assert frames(tmp_path / "out") == frames(tmp_path / "whole")


def test_a_shot_that_is_stopped_between_two_frames_goes_on_to_the_same_bits(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plate = write_plate(tmp_path / "plate", count=11)
    render(model, tmp_path / "whole", plate=plate, **TWO)
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        render(model, tmp_path / "out", plate=plate, stopped=stopping_at(1005, patch), **TWO)
    render(model, tmp_path / "out", plate=plate, resume=True, **TWO)
    assert frames(tmp_path / "out") == frames(tmp_path / "whole")


def test_a_frame_is_made_again_from_its_header(model: Path, tmp_path: Path) -> None:
    result = render(model, tmp_path / "out", plate=write_plate(tmp_path / "plate", count=2), **TWO)
    again = shots.rerun(str(result.frames[0]), output=str(tmp_path / "again" / "dog.%04d.exr"))
    assert [path.read_bytes() for path in again.frames] == [path.read_bytes() for path in result.frames]


def test_a_residual_is_written_said_and_added(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As when red that a half just holds is redder still in the narrower space of the layers."""
    pixels = np.full((16, 24, 3), 0.25, np.float32)
    pixels[4:8, 5] = 65504.0, 0.0, 0.0
    (tmp_path / "plate").mkdir()
    write_image(tmp_path / "plate" / "sun.0001.exr", pixels, oiio__ColorSpace="ACES2065-1")
    result = render(model, tmp_path / "out", plate=str(tmp_path / "plate" / "sun.0001.exr"))
    (path,) = result.frames
    assert any("frame 1 is brighter than its layers can be" in warning for warning in result.warnings)
    assert float(header(path)["layerflow:residualEnergy"]) > 0.05
    wanted = color.convert(pixels, "ACES2065-1", "ACEScg")
    assert wanted.max() > 90000
    np.testing.assert_allclose(over(path, ("foreground",)), wanted, rtol=2**-10)
    assert run(["recompose", str(path), "-o", str(tmp_path / "again" / "sun.%04d.exr"), "--json"]) == 0
    error = json.loads(capsys.readouterr().out.splitlines()[-1])["max_error"]
    np.testing.assert_allclose(error, wanted.max() - 65504, rtol=1e-3)  # a stored picture ends there


def test_several_foregrounds_have_sequences_and_pictures_of_their_own(model: Path, tmp_path: Path) -> None:
    plate = write_plate(tmp_path / "plate", count=2)
    result = render(model, tmp_path / "out", plate=plate, per_layer=True, preview=True, **TWO)
    assert list(result.per_layer) == ["foreground1", "foreground2", "background", "blended"]
    assert all(path.is_file() for paths in result.per_layer.values() for path in paths)
    assert result.preview_movie.is_file() and result.contact_sheet.is_file()


def test_the_command_takes_several_foregrounds(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plate = write_plate(tmp_path / "plate", count=1)
    options = ["--foreground", "a dog", "--foreground", "the garden", "--model", str(model), "--json"]
    assert run(["decompose", plate, *options, "-o", str(tmp_path / "out" / "dog.%04d.exr")]) == 0
    (path,) = json.loads(capsys.readouterr().out.splitlines()[-1])["frames"]
    assert json.loads(header(Path(path))["layerflow:request"])["foregrounds"] == ["a dog", "the garden"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"foregrounds": ("a", "b")}, "put all of them into foregrounds"),
        ({"foreground": "", "foregrounds": ("a", " ")}, "one of the foregrounds is empty"),
        ({"foreground": "", "foregrounds": ("a",) * 9}, "9 foregrounds are more than 8"),
        ({"foreground": "", "foregrounds": ("a", "b\x07")}, "foregrounds prompt"),
        ({"foreground": "", "foregrounds": ("a", 7)}, "foregrounds"),
        ({"task": "background", "foreground": "", "foregrounds": ("a", "b")}, "give one foreground prompt"),
    ],
)
def test_what_cannot_be_is_one_sentence(changes: dict, sentence: str) -> None:
    values = {"task": "decompose", "plate": "dog.%04d.exr", **PROMPTS, **changes}
    with pytest.raises(ValueError, match=sentence) as caught:
        Request.from_dict(values)
    assert "\n" not in str(caught.value)


def test_a_request_keeps_its_foregrounds_on_its_way() -> None:
    asked = request(Path("m"), Path("o"), plate="dog.%04d.exr", **TWO)
    assert Request.from_json(asked.to_json()) == asked
