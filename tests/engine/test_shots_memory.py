"""Shots whose memory runs out on the way: they go on under the next lower plan, and lose nothing."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rendering import channels, contents, frames, header, render, write_plate

from layerflow import shots
from layerflow.codec import LinearCodec
from layerflow.errors import Interrupted, RequestError
from layerflow.models import engines, load
from layerflow.models.plans import PLANS, Plan
from layerflow.models.text_encoder import LazyText
from layerflow.sampler import Sampler
from layerflow.wire import Event

pytestmark = pytest.mark.usefixtures("one_thread")

RAN_OUT = {
    "full": "memory ran out under memory plan full; the shot goes on under balanced",
    "balanced": "memory ran out under memory plan balanced; the shot goes on under low",
}


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_plate(tmp_path_factory.mktemp("plate"))


@pytest.fixture(scope="module")
def undisturbed(tiny_model: Path, plate: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an undisturbed run leaves: 11 frames in two windows of 3 steps each."""
    folder = tmp_path_factory.mktemp("undisturbed")
    render(tiny_model, folder, plate=plate)
    return folder


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The memory plan of each step that was begun, in order."""
    begun: list[str] = []
    under = [""]
    load_engine, step = engines.load_engine, Sampler.step

    def loading(folder: Any, options: Any, **others: Any) -> Any:
        under[0] = options.memory
        return load_engine(folder, options, **others)

    def stepping(self: Sampler, *args: Any, **options: Any) -> Any:
        begun.append(under[0])
        return step(self, *args, **options)

    monkeypatch.setattr(engines, "load_engine", loading)
    monkeypatch.setattr(Sampler, "step", stepping)
    return begun


def out_of_memory_at(calls: set[int], target: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has memory run out at these calls, counted from 1, of `target.name`."""
    real, count = getattr(target, name), iter(range(1, 10_000))

    def limited(*args: Any, **options: Any) -> Any:
        if next(count) in calls:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return real(*args, **options)

    monkeypatch.setattr(target, name, limited)


def of_memory(result: shots.ShotResult) -> list[str]:
    """Its warnings that are not of the plate."""
    return [warning for warning in result.warnings if "memory" in warning]


def same_pixels(made: Path, expected: Path) -> bool:
    names = sorted(path.name for path in expected.glob("*.exr"))
    assert names == sorted(path.name for path in made.glob("*.exr"))
    for name in names:
        one, other = channels(made / name), channels(expected / name)
        if one.keys() != other.keys() or not all(np.array_equal(one[key], other[key]) for key in one):
            return False
    return True


@pytest.mark.parametrize(
    ("call", "expected", "plans"),
    [
        (1, ["full", *["balanced"] * 6], ["balanced"] * 11),
        (3, ["full", "full", "full", *["balanced"] * 4], ["full, balanced"] * 4 + ["balanced"] * 7),
        (5, [*["full"] * 5, "balanced", "balanced"], ["full"] * 4 + ["full, balanced"] * 7),
    ],
)
def test_a_step_runs_out_of_memory(
    tiny_model, tmp_path, plate, undisturbed, steps, monkeypatch, call, expected, plans
) -> None:
    said: list[Event] = []
    out_of_memory_at({call}, Sampler, "_denoised", monkeypatch)
    result = render(tiny_model, tmp_path, plate=plate, on_event=said.append)
    assert of_memory(result) == [RAN_OUT["full"]]
    assert steps == expected
    assert [event.done for event in said if event.kind == "step"] == [1, 2, 3, 4, 5, 6]
    assert same_pixels(tmp_path, undisturbed)
    assert [header(path)["layerflow:memory"] for path in result.frames] == plans
    assert not list(tmp_path.glob(".*"))


PARTS = {
    "loading": (load, "load_transformer"),
    "text": (LazyText, "encode"),
    "encoding": (LinearCodec, "to_latents"),
    "decoding": (LinearCodec, "to_pixels"),
}


@pytest.mark.parametrize("part", PARTS)
def test_another_part_runs_out_of_memory(tiny_model, tmp_path, plate, undisturbed, steps, monkeypatch, part) -> None:
    out_of_memory_at({1, 2}, *PARTS[part], monkeypatch)
    result = render(tiny_model, tmp_path, plate=plate)
    assert of_memory(result) == list(RAN_OUT.values())
    if part == "decoding":  # of the first window, while the second is sampled
        assert steps[:3] == ["full"] * 3 and len(steps) == 6
    else:
        assert steps == ["low"] * 6
    assert same_pixels(tmp_path, undisturbed)


def test_every_plan_runs_out_and_the_shot_goes_on_later(tiny_model, tmp_path, plate, undisturbed, steps, monkeypatch):
    with monkeypatch.context() as patch:
        out_of_memory_at({5, 6, 7}, Sampler, "_denoised", patch)
        with pytest.raises(RequestError, match="not enough memory for this shot; close other programs, or choose"):
            render(tiny_model, tmp_path, plate=plate)
    left = frames(tmp_path)
    assert len(left) == 4 and not list(tmp_path.rglob("*.part"))
    steps.clear()
    said: list[Event] = []
    result = render(tiny_model, tmp_path, plate=plate, resume=True, on_event=said.append)
    assert steps == ["full", "full"]
    assert not of_memory(result) and same_pixels(tmp_path, undisturbed)
    assert {name: frames(tmp_path)[name] for name in left} == left


def test_a_shot_that_goes_on_keeps_its_plan(tiny_model, tmp_path, plate, steps, monkeypatch) -> None:
    """Though a more generous one would fit by now."""
    stopped: list[bool] = []

    def stop_after_4(event: Event) -> None:
        if (event.kind, event.done) == ("step", 4):
            stopped.append(True)

    out_of_memory_at({2}, Sampler, "_denoised", monkeypatch)
    with pytest.raises(Interrupted):
        render(tiny_model, tmp_path, plate=plate, on_event=stop_after_4, stopped=lambda: bool(stopped))
    steps.clear()
    said: list[Event] = []
    made = render(tiny_model, tmp_path, plate=plate, resume=True, on_event=said.append)
    assert steps == ["balanced"] * 2
    assert "memory plan balanced" in [event.message for event in said if event.kind == "stage"]
    assert header(made.frames[-1])["layerflow:memory"] == "balanced"


def test_the_plan_is_said_and_why(tiny_model: Path, tmp_path: Path, plate: str, monkeypatch) -> None:
    said: list[Event] = []
    monkeypatch.setattr("layerflow.models.load.free_bytes", lambda device: 2**33)
    render(tiny_model, tmp_path, plate=plate, last_frame=1001, on_event=said.append)
    assert "memory plan full: about 0.3 GiB of 8.0 free on cpu" in [e.message for e in said if e.kind == "stage"]


def test_what_does_not_fit_is_tried_in_the_lowest_plan(tiny_model, tmp_path, plate, monkeypatch) -> None:
    said: list[Event] = []
    monkeypatch.setattr("layerflow.models.load.free_bytes", lambda device: 2**20)
    made = render(tiny_model, tmp_path, plate=plate, last_frame=1001, on_event=said.append)
    stages = [event.message for event in said if event.kind == "stage"]
    assert "memory plan low: about 0.3 GiB of 0.0 free on cpu; it may run out" in stages
    assert header(made.frames[0])["layerflow:memory"] == "low"


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
def test_a_shot_is_made_again_under_its_plan(
    released_model: Path, tmp_path: Path, plate: str, monkeypatch: pytest.MonkeyPatch, plan: Plan
) -> None:
    """A video VAE's pixels depend on it, here in tiles of 32 pixels."""
    small = [Plan(**{**vars(each), "tile": each.tile and 32}) for each in PLANS]
    monkeypatch.setattr("layerflow.models.load.plan_named", lambda name: small[[p.name for p in PLANS].index(name)])
    monkeypatch.setattr("layerflow.models.load.pick_plan", lambda *args, **options: (plan, ""))
    made = render(released_model, tmp_path / "first", plate=plate, steps=1, last_frame=1001)
    monkeypatch.setattr("layerflow.models.load.pick_plan", lambda *args, **options: (PLANS[0], ""))
    shots.rerun(str(made.frames[0]), output=str(tmp_path / "again" / "dog.%04d.exr"))
    assert contents(tmp_path / "again") == contents(tmp_path / "first")
    anew = render(released_model, tmp_path / "anew", plate=plate, steps=1, last_frame=1001)
    assert same_pixels(tmp_path / "anew", tmp_path / "first") is (plan == PLANS[0])
    assert header(anew.frames[0])["layerflow:memory"] == "full"


def test_a_frame_of_two_plans_is_made_again_under_the_last(tiny_model, tmp_path, plate, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        out_of_memory_at({2}, Sampler, "_denoised", patch)
        made = render(tiny_model, tmp_path / "first", plate=plate, last_frame=1002)
    again = shots.rerun(str(made.frames[0]), output=str(tmp_path / "again" / "dog.%04d.exr"))
    assert header(again.frames[0])["layerflow:memory"] == "balanced"
    (warning,) = of_memory(again)
    assert "memory ran out when the frame was made under memory plan full" in warning and "balanced alone" in warning


def test_a_video_vae_s_pixels_are_told_to_change(released_model, tmp_path, plate, monkeypatch) -> None:
    out_of_memory_at({1}, Sampler, "_denoised", monkeypatch)
    result = render(released_model, tmp_path, plate=plate, steps=1, last_frame=1001)
    assert of_memory(result) == [RAN_OUT["full"] + ", and what follows may look a little different"]


def test_what_was_loaded_is_let_go_of_before_the_next(tiny_model, tmp_path, plate, monkeypatch) -> None:
    seen: list[weakref.ref[Any]] = []
    alive: list[bool] = []
    load_engine = engines.load_engine

    def loading(folder: Any, options: Any, **others: Any) -> Any:
        alive.extend(kept() is not None for kept in seen)
        engine = load_engine(folder, options, **others)
        engine.transformer.circle = [engine.transformer]  # as hooks make them
        seen.append(weakref.ref(engine.transformer))
        return engine

    monkeypatch.setattr(engines, "load_engine", loading)
    out_of_memory_at({2, 3}, Sampler, "_denoised", monkeypatch)
    render(tiny_model, tmp_path, plate=plate, last_frame=1001)
    assert alive == [False, False, False]
