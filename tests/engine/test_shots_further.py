"""Shots by a model that has learned to go by a guide and to make two foregrounds at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pictures import write_image
from rendering import channels, contents, frames, header, render, write_plate
from test_recomposition import allowed, half
from test_shots_apart import TWO, over, rgb
from tiny import NUM_STEPS, write_tiny_model

from layerflow import layers, shots
from layerflow.assemble import fronts
from layerflow.color import DEFAULT_LINEAR, from_display, to_display
from layerflow.guides import Clamps, guide_picture
from layerflow.models.fitting import fit_to
from layerflow.models.folder import open_model
from layerflow.pipeline import Clip, encode_clip
from layerflow.preprocess import to_pixels, to_tensor

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
