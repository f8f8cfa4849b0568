"""Shots by a model that has learned to go by a guide and to make two foregrounds at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pictures import write_image
from rendering import PROMPTS, channels, contents, frames, header, render, request, stopping_at, write_plate
from test_recomposition import allowed, half
from test_shots_apart import TWO, over, rgb
from tiny import NUM_STEPS, write_tiny_model

from layerflow import layers, shots
from layerflow.assemble import fronts
from layerflow.cli.app import run
from layerflow.color import DEFAULT_LINEAR, from_display, to_display
from layerflow.errors import Interrupted, ModelError, RequestError
from layerflow.guides import Clamps, guide_picture
from layerflow.models.fitting import fit_to
from layerflow.models.folder import open_model
from layerflow.pipeline import Clip, encode_clip
from layerflow.preprocess import to_pixels, to_tensor
from layerflow.shot import Shot

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny", further=True)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Clip]:
    """What the model is asked for."""
    clips: list[Clip] = []

    def encode(engine: Any, clip: Clip) -> Any:
        clips.append(clip)
        return encode_clip(engine, clip)

    monkeypatch.setattr("layerflow.showing.encode_clip", encode)
    return clips


def test_two_foregrounds_are_made_at_once_and_are_the_plate(model: Path, tmp_path: Path, asked: list[Clip]) -> None:
    plate = write_plate(tmp_path / "plate", count=10, size=(37, 61), dim=40.0)
    steps = []
    result = render(
        model,
        tmp_path / "out",
        plate=plate,
        background="night",
        on_event=lambda event: steps.append(event.total) if event.kind == "step" else None,
        **TWO,
    )
    assert len(asked) == 2 and steps == [2 * NUM_STEPS] * (2 * NUM_STEPS)  # two windows, each once
    clip = asked[0]
    assert clip.layout.layers == ("foreground", "alpha", "foreground2", "alpha2", "background", "blended")
    assert (clip.prompts["foreground"], clip.prompts["foreground2"]) == TWO["foregrounds"]
    assert clip.prompts["background"] == "night"
    for number, path in enumerate(result.frames, start=1001):
        seen = half(rgb(channels(tmp_path / "plate" / f"dog.{number}.exr"), ""))
        made = over(path, ("foreground1", "foreground2")).astype(np.float64)
        assert (np.abs(made - seen) < allowed(seen)).all()
        planes = channels(path)
        assert not np.array_equal(planes["foreground1.A"], planes["foreground2.A"])


def test_more_of_them_are_taken_off_one_by_one(model: Path, tmp_path: Path, asked: list[Clip]) -> None:
    plate = write_plate(tmp_path / "plate", count=1)
    three = {"foreground": "", "foregrounds": ("a dog", "a dog", "the night")}
    (path,) = render(model, tmp_path / "out", plate=plate, **three).frames
    assert [len(clip.layout.layers) for clip in asked] == [4, 4, 4]
    assert header(path)["layerflow:layers"].startswith("foreground1,foreground2,foreground3,")


def test_what_is_behind_the_first_of_two_is_the_second_over_the_background() -> None:
    rng = np.random.default_rng(0)
    made = {name: torch.rand(2, 3, 4, 5) for name in ("foreground", "alpha", "background", "blended")}
    straight, matte, behind = (
        rng.random((2, 4, 5, 3), np.float32),
        rng.random((2, 4, 5), np.float32),
        made["background"],
    )
    made["foreground2"] = to_tensor(layers.grey_from_straight(straight, matte))
    made["alpha2"] = to_tensor(np.repeat(matte[..., None], 3, axis=-1))
    first, second = fronts(made)
    light = from_display(straight, DEFAULT_LINEAR) * matte[..., None]
    light = light + from_display(to_pixels(behind), DEFAULT_LINEAR) * (1 - matte[..., None])
    np.testing.assert_allclose(to_pixels(first["background"]), to_display(light, DEFAULT_LINEAR), atol=2e-4)
    assert first["alpha"] is made["alpha"] and second["alpha"] is made["alpha2"] and second["background"] is behind
    assert fronts({"foreground": behind}) == ({"foreground": behind},)


def test_two_foregrounds_are_generated_at_once(model: Path, tmp_path: Path, asked: list[Clip]) -> None:
    steps = []
    result = render(
        model,
        tmp_path / "out",
        task="generate",
        num_frames=9,
        preview=True,
        per_layer=True,
        on_event=lambda event: steps.append(event.total) if event.kind == "step" else None,
        **TWO,
    )
    assert len(asked) == 2 and steps == [2 * NUM_STEPS] * (2 * NUM_STEPS)  # two windows, each once
    clip = asked[0]
    assert clip.layout.layers == ("foreground", "alpha", "foreground2", "alpha2", "background", "blended")
    assert not clip.layout.given and (clip.prompts["foreground"], clip.prompts["foreground2"]) == TWO["foregrounds"]
    assert clip.prompts["background"] == PROMPTS["background"]
    assert list(result.per_layer) == ["foreground1", "foreground2", "background", "blended"]
    assert result.preview_movie is not None and result.contact_sheet is not None
    for path in result.frames:
        assert header(path)["layerflow:layers"] == "foreground1,foreground2,background,blended"
        planes = channels(path)
        assert {"foreground1.A", "foreground2.A", "background.R", "R"} <= set(planes) and "alpha2.R" not in planes
        assert not np.array_equal(planes["foreground1.A"], planes["foreground2.A"])
    assert run(["recompose", str(tmp_path / "out" / "dog.####.exr"), "-o", str(tmp_path / "again.%04d.exr")]) == 0


def test_each_layer_of_two_is_what_the_model_made(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In front is the first, and the background is the model's own, not what is behind the first."""
    greys = {"foreground": 0.7, "alpha": 1.0, "foreground2": 0.4, "alpha2": 0.5, "background": 0.2, "blended": 0.9}

    def decode(engine: Any, layout: Any, latents: Any) -> dict[str, torch.Tensor]:
        return {name: torch.full((8, 3, 32, 48), greys[name]) for name in layout.layers}

    monkeypatch.setattr("layerflow.overlap.decode_clip", decode)
    (path,) = render(model, tmp_path, task="generate", num_frames=1, **TWO).frames
    planes = {name: float(np.median(plane)) for name, plane in channels(path).items()}
    assert (planes["foreground1.A"], planes["foreground2.A"]) == (1.0, 0.5)
    shown = {"foreground1.R": 0.7, "foreground2.R": 0.3, "background.R": 0.2, "R": 0.9}  # (.4 - .5) / .5 + .5
    for name, display in shown.items():
        light = from_display(np.full((1, 3), display, np.float32), DEFAULT_LINEAR)[0, 0]
        assert planes[name] == pytest.approx(light, rel=2e-3)


@pytest.mark.parametrize(
    ("foregrounds", "sentence"),
    [
        (("a", "b"), "model plain can generate 1 foreground at once and 2 are asked for"),
        (("a", "b", "c"), "model plain can generate 1 foreground at once and 3 are asked for"),
    ],
)
def test_a_model_that_makes_one_says_so(tmp_path: Path, foregrounds: tuple[str, ...], sentence: str) -> None:
    plain = write_tiny_model(tmp_path / "plain", name="plain")
    with pytest.raises(ModelError, match=f"^{sentence}; leave some out, or choose another with --model$"):
        render(plain, tmp_path / "out", task="generate", foreground="", foregrounds=foregrounds)
    assert not (tmp_path / "out").exists()


def test_three_are_more_than_two(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="can generate 2 foregrounds at once and 3 are asked for"):
        render(model, tmp_path, task="generate", foreground="", foregrounds=("a", "b", "c"))


def test_a_stopped_shot_of_two_goes_on_and_is_made_again(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = {"task": "generate", "num_frames": 10, **TWO}
    whole = render(model, tmp_path / "whole", **fields)
    with pytest.raises(Interrupted), monkeypatch.context() as patch:
        render(model, tmp_path / "out", stopped=stopping_at(8, patch), **fields)
    assert 0 < len(frames(tmp_path / "out")) < 10
    render(model, tmp_path / "out", resume=True, **fields)
    assert frames(tmp_path / "out") == frames(tmp_path / "whole")
    shots.rerun(str(whole.frames[9]), output=str(tmp_path / "again" / "dog.%04d.exr"))
    assert frames(tmp_path / "again") == frames(tmp_path / "whole")


def test_a_shot_of_two_goes_on_with_both(model: Path, tmp_path: Path, asked: list[Clip]) -> None:
    render(model, tmp_path / "shot", task="generate", num_frames=3, **TWO)
    shot = str(tmp_path / "shot" / "dog.%04d.exr")
    longer = {"task": "edit", "plate": shot, "extend": 2, "background": ""}
    result = render(model, tmp_path / "longer", foreground="", **longer)
    assert [path.name for path in result.frames] == ["dog.0004.exr", "dog.0005.exr"]
    assert header(result.frames[0])["layerflow:layers"] == "foreground1,foreground2,background,blended"
    assert asked[-1].prompts["foreground2"] == TWO["foregrounds"][1]
    again = shots.rerun(str(result.frames[1]), output=str(tmp_path / "again" / "dog.%04d.exr"))
    assert [path.read_bytes() for path in again.frames] == [path.read_bytes() for path in result.frames]
    with pytest.raises(RequestError, match="extend a shot of one foreground over a background, with a prompt for each"):
        render(model, tmp_path / "one", foreground="a dog", **longer)


def test_the_end_of_a_shot_of_two_is_seen_layer_by_layer(model: Path, tmp_path: Path) -> None:
    render(model, tmp_path / "shot", task="generate", num_frames=3, **TWO)
    plate = str(tmp_path / "shot" / "dog.%04d.exr")
    asked = request(model, tmp_path / "out", task="generate", plate=plate, extend=1, **TWO)
    shot = Shot.prepare(asked, print, lambda: False)
    assert shot.ending is not None
    clips = shot.ending.clips(shot.layout, shot.fit)
    assert list(clips) == ["foreground", "alpha", "foreground2", "alpha2", "background", "blended"]
    for name, channel in (("alpha", "foreground1.A"), ("alpha2", "foreground2.A")):
        last = channels(tmp_path / "shot" / "dog.0003.exr")[channel]
        np.testing.assert_allclose((clips[name][-1, 0].numpy() + 1) / 2, last, atol=2e-3)


@pytest.mark.parametrize("verb", [["generate"], ["generate", "--quality", "draft"]])
def test_the_bundled_model_generates_two(tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: list[str]) -> None:
    words = ["--foreground", "a fox", "--foreground", "a tree", "--background", "a beach"]
    output = str(tmp_path / "two.%04d.exr")
    assert run([*verb, *words, "--steps", "2", "--frames", "1-2", "-o", output, "--json"]) == 0
    paths = [Path(path) for path in json.loads(capsys.readouterr().out)["frames"]]
    assert json.loads(header(paths[0])["layerflow:request"])["foregrounds"] == ["a fox", "a tree"]
    planes = channels(paths[1])
    mattes = [planes[f"foreground{number}.A"] for number in (1, 2)]
    assert all(np.isfinite(matte).all() and 0 <= matte.min() < matte.max() <= 1 for matte in mattes)
    assert np.abs(mattes[0] - mattes[1]).max() > 0.05


def write_mattes(folder: Path, *, count: int = 10) -> str:
    folder.mkdir()
    for frame in range(count):
        matte = np.zeros((37, 61), np.float32)
        matte[8:30, 10 + frame : 30 + frame] = 1
        write_image(folder / f"roto.{1001 + frame}.exr", matte[..., None], names=("Y",))
    return str(folder / "roto.####.exr")


@pytest.mark.parametrize("kind", ["roto", "garbage"])
def test_a_guide_is_a_layer_that_is_given_and_still_binds(
    model: Path, tmp_path: Path, asked: list[Clip], kind: str
) -> None:
    plate = write_plate(tmp_path / "plate", count=10, size=(37, 61))
    guide = write_mattes(tmp_path / "roto")
    result = render(model, tmp_path / "out", plate=plate, guide=guide, guide_kind=kind)
    assert [name for name in asked[0].layout.layers if asked[0].layout.is_given(name)] == ["guide", "blended"]
    shown = asked[0].given["guide"]
    assert shown.shape == asked[0].given["blended"].shape and shown.min() < -0.9 and shown.max() > 0.9
    assert not shown[0].equal(shown[5])  # it moves
    hint = asked[0].hint
    assert hint is not None and torch.equal(hint.trust, hint.certain)  # the rest is the model's to say
    for path in result.frames:
        planes = channels(path)
        assert not planes["foreground.A"][:4].any() and planes["foreground.A"].any()
        seen = half(rgb(planes, ""))
        assert (np.abs(over(path, ("foreground",)).astype(np.float64) - seen) < allowed(seen)).all()


def test_such_shots_are_made_again_to_the_same_bits(model: Path, tmp_path: Path) -> None:
    plate = write_plate(tmp_path / "plate", count=2, size=(37, 61))
    for name, fields in (("guided", {"guide": write_mattes(tmp_path / "roto", count=2)}), ("two", TWO)):
        made = render(model, tmp_path / name, plate=plate, **fields)
        shots.rerun(str(made.frames[1]), output=str(tmp_path / "again" / name / "dog.%04d.exr"))
        assert frames(tmp_path / "again" / name) == frames(tmp_path / name)
    assert contents(tmp_path / "again" / "two") != contents(tmp_path / "again" / "guided")


def test_a_guide_that_only_forbids_is_shown_as_where_it_does_not(model: Path) -> None:
    fit = fit_to(open_model(model), width=48, height=32)
    low, high = np.zeros((32, 48), np.float32), np.zeros((32, 48), np.float32)
    high[:, :24] = 1
    (shown,) = guide_picture([Clamps(low=low, high=high)], fit)
    assert shown.shape == (3, 32, 48) and shown[:, :, :20].eq(1).all() and shown[:, :, 28:].eq(-1).all()
    (shown,) = guide_picture([Clamps(low=low, high=high, guess=low + 0.5)], fit)
    assert shown.abs().max() < 1e-6
