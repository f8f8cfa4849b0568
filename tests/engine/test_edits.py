"""One command, one request, one job: a plate is taken apart, what stays stays to the bit, the rest is made anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rendering import channels, contents, frames, header, render, request, write_plate
from test_kept import bits
from tiny import write_tiny_model

from layerflow import shots
from layerflow.cli.app import run
from layerflow.edits import stages
from layerflow.errors import Interrupted, OutputError, PlateError, RequestError
from layerflow.wire import Request

pytestmark = pytest.mark.usefixtures("one_thread")

KEEP_FRONT = {"task": "edit", "keep": ("foreground",), "was": "the garden"}
KEEP_BACK = {"task": "edit", "keep": ("background",), "was": "a dog"}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def plate(tmp_path_factory) -> str:
    return write_plate(tmp_path_factory.mktemp("plate"), count=10, size=(37, 61), dim=9.0)


def bits_of(path: Path) -> dict[str, bytes]:
    """Every channel; the headers differ in the path of the layers."""
    return {name: plane.tobytes() for name, plane in channels(path).items()}


@pytest.mark.parametrize(
    ("changes", "stays", "anew"), [(KEEP_FRONT, "foreground", "background"), (KEEP_BACK, "background", "foreground")]
)
def test_a_plate_is_taken_apart_and_one_layer_made_anew(model, plate, tmp_path, changes, stays, anew) -> None:
    result = render(model, tmp_path / "out", plate=plate, **changes)
    assert [path.name for path in result.frames] == [f"dog.{number}.exr" for number in range(1001, 1011)]
    for path in result.frames:
        apart = path.with_name(path.name.replace("dog.", "dog.layers."))
        assert bits(path, stays) == bits(apart, stays) != []
        assert bits(path, anew) != bits(apart, anew)
        assert json.loads(header(path)["layerflow:request"])["task"] == anew
        assert json.loads(header(apart)["layerflow:request"])["task"] == "decompose"
    assert len(frames(tmp_path / "out")) == 20 == len(contents(tmp_path / "out"))


def test_it_is_what_two_commands_would_make(model, plate, tmp_path) -> None:
    render(model, tmp_path / "out", plate=plate, **KEEP_FRONT)
    one = Request(
        "decompose",
        plate=plate,
        foreground="a red dog",
        background="the garden",
        model=str(model),
        output=str(tmp_path / "by_hand" / "dog.layers.%04d.exr"),
    )
    shots.render(one)
    render(model, tmp_path / "by_hand", task="background", plate=one.output, keep=("foreground",))
    names = frames(tmp_path / "out").keys()
    assert names == frames(tmp_path / "by_hand").keys()
    for name in names:
        assert bits_of(tmp_path / "out" / name) == bits_of(tmp_path / "by_hand" / name)


def test_layers_are_not_taken_apart_again(model, plate, tmp_path) -> None:
    render(model, tmp_path / "apart", task="decompose", plate=plate)
    layered = str(tmp_path / "apart" / "dog.%04d.exr")
    (path, *_) = render(model, tmp_path / "out", task="edit", plate=layered, keep=("foreground",)).frames
    assert len(frames(tmp_path / "out")) == 10
    assert bits(path, "foreground") == bits(tmp_path / "apart" / path.name, "foreground")


@pytest.mark.parametrize("steps", [2, 6, 8, 11])
def test_an_edit_that_was_stopped_goes_on_to_the_same_bits(model, plate, tmp_path, steps) -> None:
    """While the plate is taken apart (two windows of three steps), and while the layer is made."""
    render(model, tmp_path / "whole", plate=plate, **KEEP_FRONT)
    seen = []

    def on_event(event) -> None:
        if event.kind == "step":
            seen.append(event)

    with pytest.raises(Interrupted):
        render(
            model, tmp_path / "out", plate=plate, on_event=on_event, stopped=lambda: len(seen) >= steps, **KEEP_FRONT
        )
    render(model, tmp_path / "out", plate=plate, resume=True, **KEEP_FRONT)
    names = frames(tmp_path / "out").keys()
    assert names == contents(tmp_path / "out").keys() == frames(tmp_path / "whole").keys()
    for name in names:
        assert bits_of(tmp_path / "out" / name) == bits_of(tmp_path / "whole" / name)


def test_what_is_in_the_way_is_found_before_anything_is_made(model, plate, tmp_path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "dog.1003.exr").write_bytes(b"a render of somebody")
    with pytest.raises(OutputError, match=r"dog\.1003\.exr"):
        render(model, tmp_path / "out", plate=plate, **KEEP_FRONT)
    assert list(contents(tmp_path / "out")) == ["dog.1003.exr"]


def test_its_frames_are_made_again_from_their_headers(model, plate, tmp_path) -> None:
    (path, *_) = render(model, tmp_path / "out", plate=plate, last_frame=1002, **KEEP_BACK).frames
    again = shots.rerun(str(path), output=str(tmp_path / "again" / "dog.%04d.exr"))
    assert again.frames[0].read_bytes() == path.read_bytes()


def test_the_prompts_go_where_they_belong(plate) -> None:
    apart, anew = stages(request(Path("m"), Path("o"), plate=plate, **KEEP_FRONT))
    assert (apart.foreground, apart.background) == ("a red dog", "the garden")
    assert (anew.task, anew.foreground, anew.background) == ("background", "a red dog", "the garden at night")
    apart, anew = stages(request(Path("m"), Path("o"), plate=plate, **KEEP_BACK))
    assert (apart.foreground, apart.background) == ("a dog", "the garden at night")
    assert (anew.task, anew.foreground, anew.plate) == ("foreground", "a red dog", str(Path("o/dog.layers.%04d.exr")))
    plain = request(Path("m"), Path("o"), plate=plate)
    assert stages(plain) == (plain,)


def test_several_foregrounds(model, plate, tmp_path) -> None:
    several = {"task": "edit", "foreground": "", "foregrounds": ("a dog", "the garden"), "keep": ("foreground2",)}
    (path,) = render(model, tmp_path / "out", plate=plate, last_frame=1001, **several).frames
    assert header(path)["layerflow:layers"] == "foreground2,background,blended"
    assert bits(path, "foreground2") == bits(path.with_name("dog.layers.1001.exr"), "foreground2")


def test_the_command(model, plate, tmp_path, capsys) -> None:
    output = str(tmp_path / "out" / "dog.%04d.exr")
    options = ["--frames", "1001-1002", "--model", str(model), "-o", output, "--json"]
    assert run(["edit", plate, "--keep", "foreground", "--background", "the night", "--preview", *options]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["frames"] == [output % 1001, output % 1002]
    assert Path(result["preview_movie"]).is_file()
    assert not (tmp_path / "out" / "dog.layers.preview.mp4").exists()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "edit needs a layer to keep"),
        ({"keep": ("foreground",), "background": ""}, "describe it with a background prompt"),
        ({"keep": ("background",), "foreground": " "}, "describe it with a foreground prompt"),
        ({"keep": ("sky",)}, "'sky' cannot be kept"),
        ({"task": "decompose", "was": "a cat"}, "was is for edit only"),
        ({"keep": ("foreground",), "was": "a\x07"}, "was prompt"),
        ({"keep": ("foreground",), "plate": None}, "edit needs a plate"),
    ],
)
def test_what_cannot_be_is_one_sentence(values, sentence) -> None:
    with pytest.raises(ValueError, match=sentence):
        Request(**{"task": "edit", "plate": "dog.%04d.exr", "foreground": "a dog", "background": "snow", **values})


def test_what_is_for_taking_apart_is_refused_for_layers(model, plate, tmp_path) -> None:
    render(model, tmp_path / "apart", task="decompose", plate=plate, last_frame=1001)
    layered = str(tmp_path / "apart" / "dog.1001.exr")
    with pytest.raises(RequestError, match="is in layers already and was is for taking it apart"):
        render(model, tmp_path / "out", plate=layered, **KEEP_FRONT)
    with pytest.raises(PlateError):
        render(model, tmp_path / "out", plate=str(tmp_path / "none.%04d.exr"), **KEEP_FRONT)
