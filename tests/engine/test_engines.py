"""Engines that stay from one shot to the next: the same bits as new ones, and never the wrong one."""

from __future__ import annotations

import gc
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from loras import random_lora, write_peft
from rendering import contents, render, write_plate
from test_shots_backends import Near

from layerflow import shots
from layerflow.errors import Interrupted, LayerFlowError, ModelError
from layerflow.models import backends, engines
from layerflow.models.backends import AUTO
from layerflow.models.engines import Engines
from layerflow.sampler import Sampler
from layerflow.transformer import LayerFlowTransformer
from layerflow.wire import Event

pytestmark = pytest.mark.usefixtures("one_thread")

FROM_PLATE = {"task": "decompose"}
GENERATED = {"task": "generate", "num_frames": 4, "seed": 5, "foreground": "a dog at night"}


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_plate(tmp_path_factory.mktemp("plate"), count=9)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[weakref.ref[Any]]:
    """The transformer of every engine that was loaded, for as long as it is there."""
    found: list[weakref.ref[Any]] = []
    load_engine = engines.load_engine

    def loading(*given: Any, **options: Any) -> Any:
        assert not any(transformer() for transformer in found), "two engines in memory"
        engine = load_engine(*given, **options)
        found.append(weakref.ref(engine.transformer))
        return engine

    monkeypatch.setattr(engines, "load_engine", loading)
    return found


@pytest.fixture
def kept() -> Engines:
    return Engines(keep_s=1000.0)


def shot(model: Path, folder: Path, kept: Engines | None, **changes: Any) -> shots.ShotResult:
    return render(model, folder, engines=kept, **changes)


@pytest.mark.parametrize("model", ["tiny_model", "released_model"])
@pytest.mark.parametrize("quality", [pytest.param("exact", marks=pytest.mark.long), "draft"])
def test_one_engine_makes_the_bits_of_several(model, quality, request, plate, kept, loaded, tmp_path) -> None:
    """Tasks, seeds and prompts change from shot to shot; weights do not."""
    folder, asked = request.getfixturevalue(model), []
    for index, values in enumerate((FROM_PLATE, GENERATED, FROM_PLATE)):
        asked.append({**values, "quality": quality, **({"plate": plate} if values is FROM_PLATE else {})})
        shot(folder, tmp_path / f"kept-{index}", kept, **asked[-1])
    assert len(loaded) == 1
    kept.let_go()
    for index, changes in enumerate(asked):
        shot(folder, tmp_path / f"new-{index}", None, **changes)
        assert contents(tmp_path / f"kept-{index}") == contents(tmp_path / f"new-{index}")
    assert len(loaded) == 4


@pytest.mark.parametrize("plan", ["balanced", "low"])
def test_what_comes_and_goes_comes_again(released_model, plan, kept, loaded, tmp_path) -> None:
    """Under these plans networks and their weights move while a shot is made."""
    changes = {**GENERATED, "memory": plan}
    for name in ("one", "two"):
        shot(released_model, tmp_path / name, kept, **changes)
    assert len(loaded) == 1 and contents(tmp_path / "one") == contents(tmp_path / "two")


def test_without_keeping_nothing_stays(tiny_model, loaded, tmp_path) -> None:
    for name in ("one", "two"):
        shot(tiny_model, tmp_path / name, Engines(), **GENERATED)
    assert len(loaded) == 2


@pytest.mark.parametrize("change", [{"precision": "bfloat16"}, {"memory": "low"}, {"quality": "draft"}])
def test_another_one_is_let_go_of_before_it_is_loaded(tiny_model, kept, loaded, tmp_path, change) -> None:
    shot(tiny_model, tmp_path / "one", kept, **GENERATED)
    shot(tiny_model, tmp_path / "two", kept, **GENERATED, **change)
    shot(tiny_model, tmp_path / "three", kept, **GENERATED, **change)
    assert len(loaded) == 2


def test_another_model_is_loaded(tiny_model, released_model, kept, loaded, tmp_path) -> None:
    shot(tiny_model, tmp_path / "one", kept, **GENERATED)
    shot(released_model, tmp_path / "two", kept, **GENERATED)
    assert len(loaded) == 2


def test_the_sentence_on_memory_says_that_it_is_loaded(tiny_model, kept, tmp_path) -> None:
    said: list[str] = []
    for name in ("one", "two"):
        shot(tiny_model, tmp_path / name, kept, on_event=lambda event: said.append(event.message), **GENERATED)
    plans = [sentence for sentence in said if sentence.startswith("memory plan")]
    assert plans[1] == "memory plan full, as loaded for the shot before" and plans[0].startswith("memory plan full: ")


def test_a_lora_that_was_written_anew_is_merged_anew(tiny_model, kept, loaded, tmp_path) -> None:
    network = LayerFlowTransformer.from_pretrained(tiny_model / "transformer")
    for seed, name in ((0, "one"), (1, "two")):
        lora = write_peft(tmp_path / "lora", random_lora(network, seed=seed), r=4, lora_alpha=4)
        shot(tiny_model, tmp_path / name, kept, lora=(str(lora),), **GENERATED)
    kept.let_go()
    shot(tiny_model, tmp_path / "new", None, lora=(str(lora),), **GENERATED)
    assert contents(tmp_path / "two") == contents(tmp_path / "new") and len(loaded) == 3


def test_a_model_that_was_damaged_meanwhile_is_refused(tiny_model, kept, tmp_path) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    shot(model, tmp_path / "one", kept, **GENERATED)
    (weights,) = (model / "transformer").glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(ModelError, match="missing or damaged"):
        shot(model, tmp_path / "two", kept, **GENERATED)


def fails_at(step: int, error: type[Exception]) -> Callable[[Event], None]:
    def fail(event: Event) -> None:
        if (event.kind, event.done) == ("step", step):
            raise error("in the middle")

    return fail


@pytest.mark.parametrize("error", [Interrupted, KeyError])
def test_what_was_at_work_when_a_shot_ended_early_is_let_go_of(tiny_model, kept, loaded, tmp_path, error) -> None:
    """Its hooks may have been in the middle of something."""
    with pytest.raises(error):
        shot(tiny_model, tmp_path / "one", kept, on_event=fails_at(2, error), **GENERATED)
    gc.collect()
    assert loaded[0]() is None
    shot(tiny_model, tmp_path / "one", kept, resume=True, **GENERATED)
    kept.let_go()
    shot(tiny_model, tmp_path / "new", None, **GENERATED)
    assert contents(tmp_path / "one") == contents(tmp_path / "new")


def test_memory_that_runs_out_lets_the_kept_one_go(tiny_model, kept, loaded, tmp_path, monkeypatch) -> None:
    shot(tiny_model, tmp_path / "one", kept, **GENERATED)
    with monkeypatch.context() as patch:
        patch.setattr(Sampler, "step", lambda *_, **__: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA")))
        with pytest.raises(LayerFlowError, match="not enough memory"):
            shot(tiny_model, tmp_path / "two", kept, **GENERATED)
    gc.collect()
    assert not any(transformer() for transformer in loaded)


def test_idle_ones_are_let_go_of(tiny_model, loaded, tmp_path) -> None:
    now = [0.0]
    kept = Engines(keep_s=60.0, clock=lambda: now[0])
    shot(tiny_model, tmp_path / "one", kept, **GENERATED)
    now[0] = 59.0
    assert not kept.let_go_of_idle() and loaded[0]() is not None
    now[0] = 60.0
    assert kept.let_go_of_idle() and loaded[0]() is None
    assert not kept.let_go_of_idle()


@pytest.fixture
def near(monkeypatch: pytest.MonkeyPatch) -> Near:
    backend = Near()
    monkeypatch.setattr(backends, "entry_points", lambda group: [backend])
    monkeypatch.setitem(AUTO, "cpu", ("near",))
    return backend


def test_a_backend_is_checked_again_in_every_shot(tiny_model, kept, near, loaded, tmp_path, monkeypatch) -> None:
    checks, check = [], backends.Guarded._check
    monkeypatch.setattr(backends.Guarded, "_check", lambda guarded, *given: checks.append(1) or check(guarded, *given))
    for name in ("one", "two"):
        assert shot(tiny_model, tmp_path / name, kept, **GENERATED).backend == "near"
    assert len(checks) == 2 and len(loaded) == 1


def test_a_backend_that_gave_way_is_tried_anew_by_the_next_shot(tiny_model, kept, near, loaded, tmp_path) -> None:
    near.fails_at = 2
    first = shot(tiny_model, tmp_path / "one", kept, **GENERATED)
    second = shot(tiny_model, tmp_path / "two", kept, **GENERATED)
    assert (first.backend, second.backend) == ("near, eager", "near") and len(loaded) == 2
    assert any("the engine is gone" in warning for warning in first.warnings) and not second.warnings


def test_warnings_of_a_kept_backend_reach_the_shot_at_hand(tiny_model, kept, near, loaded, tmp_path) -> None:
    shot(tiny_model, tmp_path / "one", kept, **GENERATED)
    near.fails_at = near.calls + 2
    second = shot(tiny_model, tmp_path / "two", kept, **GENERATED)
    assert any("the engine is gone" in warning for warning in second.warnings) and len(loaded) == 1
