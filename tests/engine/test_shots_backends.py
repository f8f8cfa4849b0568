"""A shot and its backend: what is kept to, what gives way, and what the frames say of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from rendering import contents, header, render, stopping_at, write_plate

from layerflow import shots
from layerflow.denoisers import Network, eager
from layerflow.errors import Interrupted, ModelError, RequestError
from layerflow.models import backends as module
from layerflow.models.backends import AUTO
from layerflow.sampler import Sampler

pytestmark = pytest.mark.usefixtures("one_thread")

BY = "layerflow:backend"


class Near:
    """A backend that is a little off eager: enough for the pixels to tell, not enough to be wrong."""

    name = "near"

    def __init__(self) -> None:
        self.calls = 0
        self.fails_at = 0
        self.refuses = False

    def load(self) -> Callable[..., Network]:
        return self.make

    def make(self, transformer: Any, *, prepared: bool = False) -> Network:
        if self.refuses:
            raise RequestError("the backend near needs a GPU; leave --backend auto")
        network = eager(transformer)

        def near(*inputs: Any) -> torch.Tensor:
            self.calls += 1
            if self.calls == self.fails_at:
                raise ModelError("the engine is gone; build it anew")
            v = network(*inputs)
            return v + 1e-5 * v.abs().max()

        return near


@pytest.fixture
def near(monkeypatch):
    backend = Near()
    monkeypatch.setattr(module, "entry_points", lambda group: [backend])
    monkeypatch.setitem(AUTO, "cpu", ("near",))
    return backend


@pytest.fixture
def plate(tmp_path):
    return write_plate(tmp_path / "plate", count=3)


def of_backend(result: shots.ShotResult) -> list[str]:
    return [warning for warning in result.warnings if "backend" in warning]


def test_the_result_and_the_frames_say_what_made_them(tiny_model, tmp_path, plate, near):
    by_near = render(tiny_model, tmp_path / "near", plate=plate)
    by_eager = render(tiny_model, tmp_path / "eager", plate=plate, backend="eager")
    assert (by_near.backend, by_eager.backend) == ("near", "eager") and not of_backend(by_near)
    assert [header(result.frames[0])[BY] for result in (by_near, by_eager)] == ["near", "eager"]


def test_rerun_keeps_the_backend_that_auto_once_took(tiny_model, tmp_path, plate, near, monkeypatch):
    made = render(tiny_model, tmp_path / "first", plate=plate)
    monkeypatch.setitem(AUTO, "cpu", ())
    again = shots.rerun(str(made.frames[0]), output=str(tmp_path / "again" / "dog.%04d.exr"))
    assert again.backend == "near" and contents(tmp_path / "again") == contents(tmp_path / "first")


def test_rerun_without_that_backend_says_so(tiny_model, tmp_path, plate, near):
    made = render(tiny_model, tmp_path / "first", plate=plate)
    near.refuses = True
    again = shots.rerun(str(made.frames[0]), output=str(tmp_path / "again" / "dog.%04d.exr"))
    assert again.backend == "eager"
    (warning,) = of_backend(again)
    assert warning.startswith("the shot was begun with backend near; the backend near needs a GPU")


def test_a_stopped_shot_goes_on_with_its_backend(tiny_model, tmp_path, plate, near, monkeypatch):
    render(tiny_model, tmp_path / "whole", plate=plate)
    steps = []

    def on_event(event):
        if event.kind == "step":
            steps.append(event.done)

    with pytest.raises(Interrupted):
        render(tiny_model, tmp_path / "stopped", plate=plate, on_event=on_event, stopped=lambda: len(steps) > 1)
    monkeypatch.setitem(AUTO, "cpu", ())
    resumed = render(tiny_model, tmp_path / "stopped", plate=plate, resume=True)
    assert resumed.backend == "near" and contents(tmp_path / "stopped") == contents(tmp_path / "whole")


def test_a_backend_that_fails_on_the_way(tiny_model, tmp_path, plate, near):
    near.fails_at = 2
    result = render(tiny_model, tmp_path / "first", plate=plate)
    assert of_backend(result) == [
        "backend near failed (the engine is gone; build it anew); the shot goes on with eager"
    ]
    assert result.backend == "near, eager" == header(result.frames[0])[BY]
    again = shots.rerun(str(result.frames[0]), output=str(tmp_path / "again" / "dog.%04d.exr"))
    (warning,) = of_backend(again)
    assert "backend near gave way to eager when the frame was made" in warning and again.backend == "eager"


def test_a_backend_that_has_given_way_is_not_tried_again_when_the_shot_goes_on(
    tiny_model, tmp_path, plate, near, monkeypatch
):
    near.fails_at = 2
    with pytest.raises(Interrupted), monkeypatch.context() as patch:
        render(tiny_model, tmp_path, plate=plate, backend="near", stopped=stopping_at(1001, patch))
    resumed = render(tiny_model, tmp_path, plate=plate, backend="near", resume=True)
    assert near.calls == 2 and resumed.backend == "eager"


def test_a_plan_that_the_backend_cannot_follow(tiny_model, tmp_path, plate, near, monkeypatch):
    real, count = Sampler._denoised, iter(range(1000))

    def denoised(*args: Any) -> Any:
        if next(count) == 1:
            near.refuses = True
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return real(*args)

    monkeypatch.setattr(Sampler, "_denoised", denoised)
    result = render(tiny_model, tmp_path, plate=plate, backend="near")
    assert result.backend == "eager" and len(result.frames) == 3
    (warning,) = of_backend(result)
    assert "was begun with backend near" in warning
