"""Whole shots with a closer look: a second pass on a part of the plate, kept and resumed like the first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import write_image
from rendering import channels, contents, render, stopping_at
from tiny import write_tiny_released

from layerflow import overlap
from layerflow.errors import Interrupted, RequestError
from layerflow.sampler import Sampler, SamplerState
from layerflow.wire import Event

pytestmark = pytest.mark.usefixtures("one_thread")

AREA = (30, 10, 60, 40)


@pytest.fixture
def plate(tmp_path: Path) -> str:
    """Ten frames, two windows, of four times the tiny model's size."""
    rng = np.random.default_rng(0)
    (tmp_path / "plate").mkdir()
    for number in range(1, 11):
        pixels = rng.random((128, 192, 3)).astype(np.float32)
        write_image(tmp_path / "plate" / f"a.{number:04}.exr", pixels, oiio__ColorSpace="ACEScg")
    return str(tmp_path / "plate")


@pytest.fixture
def looks_there(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Has the closer look be at AREA, whatever the random model makes of the plate; the latents' sizes it sampled."""
    sizes, start = [], Sampler.start

    def noted(self: Sampler, shape: tuple[int, ...], generator: torch.Generator) -> SamplerState:
        sizes.append(shape[-2:])
        return start(self, shape, generator)

    monkeypatch.setattr(overlap, "place", lambda matte, fit: AREA)
    monkeypatch.setattr(Sampler, "start", noted)
    return sizes


def alpha_of(path: Path) -> np.ndarray:
    return channels(path)["foreground.A"]


def test_the_matte_is_that_of_the_closer_look(tiny_model: Path, tmp_path: Path, plate: str, looks_there) -> None:
    said: list[Event] = []
    result = render(tiny_model, tmp_path / "out", plate=plate, closeup=True, refine="off", on_event=said.append)
    assert looks_there == [(4, 6)] * 4  # of both windows the whole, and the part, whose shape is the same
    assert [event.done for event in said if event.kind == "step"] == list(range(1, 13))
    left, top, width, height = AREA
    for path in result.frames:
        alpha = alpha_of(path)
        assert alpha[top : top + height, left : left + width].any()
        alpha[top : top + height, left : left + width] = 0
        assert not alpha.any()
    plain = render(tiny_model, tmp_path / "plain", plate=plate, refine="off")
    assert not np.array_equal(alpha_of(result.frames[0]), alpha_of(plain.frames[0]))


def test_the_closer_look_sees_that_part_of_the_plate_alone(
    tiny_model: Path, tmp_path: Path, plate: str, looks_there
) -> None:
    """The layers there are those of a plate that is no more than that part, where nothing fades."""
    left, top, width, height = AREA
    (tmp_path / "part").mkdir()
    for path in sorted(Path(plate).iterdir()):
        whole = channels(path)
        pixels = np.stack([whole[letter] for letter in "RGB"], axis=-1)[top : top + height, left : left + width]
        write_image(tmp_path / "part" / path.name, pixels, oiio__ColorSpace="ACEScg")
    options = {"refine": "off", "first_frame": 1, "last_frame": 8}
    looked = render(tiny_model, tmp_path / "out", plate=plate, closeup=True, **options).frames[3]
    alone = render(tiny_model, tmp_path / "alone", plate=str(tmp_path / "part"), **options).frames[3]
    middle = alpha_of(looked)[top + 6 : top + height - 6, left + 8 : left + width - 8]
    off = np.abs(middle - alpha_of(alone)[6:-6, 8:-8])
    assert np.quantile(off, 0.95) < 2e-3 and off.max() < 0.1  # alpha may move a little where colours would not do


@pytest.mark.parametrize("frame", [3, 9])
def test_a_stopped_shot_goes_on_to_the_same_bits(
    tiny_model: Path, tmp_path: Path, plate: str, looks_there, monkeypatch: pytest.MonkeyPatch, frame: int
) -> None:
    render(tiny_model, tmp_path / "whole", plate=plate, closeup=True)
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        render(tiny_model, tmp_path / "out", plate=plate, closeup=True, stopped=stopping_at(frame, patch))
    render(tiny_model, tmp_path / "out", plate=plate, closeup=True, resume=True)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_without_anything_to_look_at_all_stays_as_it_is(
    tiny_model: Path, tmp_path: Path, plate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overlap, "place", lambda matte, fit: None)
    plain = render(tiny_model, tmp_path / "plain", plate=plate).frames
    looked = render(tiny_model, tmp_path / "looked", plate=plate, closeup=True).frames
    for one, other in zip(plain, looked, strict=True):
        before, after = channels(one), channels(other)
        assert all(np.array_equal(before[name], after[name]) for name in before)


def test_a_model_without_a_matte_has_nothing_to_look_at(tmp_path: Path, plate: str) -> None:
    model = write_tiny_released(tmp_path / "rgb", kind="rgb")
    with pytest.raises(RequestError, match=r"closeup needs a matte, and model .* makes none; leave it out"):
        render(model, tmp_path / "out", plate=plate, closeup=True)
