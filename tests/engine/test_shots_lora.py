"""Whole shots with LoRAs: they show in the pixels, stand in the header, and a changed one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from loras import random_lora, write_diffusers, write_peft
from rendering import contents, frames, render
from tiny import write_tiny_model
from torch import Tensor

from layerflow import exr, shots
from layerflow.errors import Interrupted, ModelError, OutputError, RequestError
from layerflow.models.adapter_files import find_lora
from layerflow.models.folder import open_model, write_manifest
from layerflow.models.network import load_transformer

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def tensors(tiny_model: Path) -> dict[str, Tensor]:
    network = load_transformer(open_model(tiny_model), dtype=torch.float32)
    return {name: 0.3 * value for name, value in random_lora(network).items()}


@pytest.fixture
def lora(tensors: dict[str, Tensor], tmp_path: Path) -> Path:
    return write_diffusers(tmp_path / "lora", tensors)


def generate(model: Path, folder: Path, *loras: object, **options: object):
    return render(model, folder, task="generate", num_frames=2, lora=tuple(map(str, loras)), **options)


def test_a_lora_shows(tiny_model: Path, tmp_path: Path, lora: Path, tensors: dict[str, Tensor]) -> None:
    peft = write_peft(tmp_path / "peft", tensors, r=4, lora_alpha=4)
    made = {
        name: generate(tiny_model, tmp_path / name, *loras)
        for name, loras in {"bare": [], "half": [f"{lora}:0.5"], "sum": [f"{lora}:0.25", f"{peft}:0.25"]}.items()
    }
    pixels = {name: exr.read_stack(shot.frames).layers["background"] for name, shot in made.items()}
    assert abs(pixels["half"] - pixels["bare"]).max() > 0.01
    assert abs(pixels["half"] - pixels["sum"]).max() < 1e-3  # half floats
    header = exr.read_header(made["sum"].frames[0])
    assert header["layerflow:loraSha256"] == f"{find_lora(str(lora)).sha256}, {find_lora(str(peft)).sha256}"
    assert "layerflow:loraSha256" not in exr.read_header(made["bare"].frames[0])


def test_rerun_takes_the_lora_by_its_whole_path(
    tiny_model: Path, tmp_path: Path, lora: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(lora.parent)
    made = generate(tiny_model, tmp_path / "out", f"{lora.name}:0.5")
    monkeypatch.chdir(tmp_path)
    shots.rerun(str(made.frames[1]), output="again/dog.%04d.exr")
    assert contents(tmp_path / "again") == contents(tmp_path / "out")


def test_rerun_refuses_a_lora_that_changed_or_is_gone(
    tiny_model: Path, tmp_path: Path, lora: Path, tensors: dict[str, Tensor]
) -> None:
    frame = str(generate(tiny_model, tmp_path / "out", lora).frames[0])
    write_diffusers(lora.parent, {name: 2 * value for name, value in tensors.items()})
    with pytest.raises(RequestError, match=r"LoRA .* here is not the one that made .*; put the old file back"):
        shots.rerun(frame, output=str(tmp_path / "again" / "dog.%04d.exr"))
    lora.unlink()
    with pytest.raises(ModelError, match="there is no LoRA"):
        shots.rerun(frame, output=str(tmp_path / "again" / "dog.%04d.exr"))
    assert not (tmp_path / "again").exists()


def test_resuming_refuses_a_changed_lora(
    tiny_model: Path, tmp_path: Path, lora: Path, tensors: dict[str, Tensor]
) -> None:
    asked = iter(range(100))
    with pytest.raises(Interrupted):
        generate(tiny_model, tmp_path / "out", lora, stopped=lambda: next(asked) > 4)
    write_diffusers(lora.parent, {name: 2 * value for name, value in tensors.items()})
    with pytest.raises(OutputError, match="made with another loraSha256; repeat its options"):
        generate(tiny_model, tmp_path / "out", lora, resume=True)
    write_diffusers(lora.parent, tensors)
    with pytest.raises(OutputError, match="made with another lora; repeat its options"):
        generate(tiny_model, tmp_path / "out", f"{lora}:0.5", resume=True)
    generate(tiny_model, tmp_path / "out", f"{lora}:1", resume=True)  # the same, written in another way
    generate(tiny_model, tmp_path / "undisturbed", lora)
    assert contents(tmp_path / "out") == contents(tmp_path / "undisturbed")


def test_refused_before_anything_is_written(tiny_model: Path, tmp_path: Path) -> None:
    for options, error in (({"motion": 0.5}, RequestError), ({"lora": ("nowhere:2",)}, ModelError)):
        with pytest.raises(error, match=r"has no Motion LoRA|there is no LoRA nowhere"):
            render(tiny_model, tmp_path / "out", task="generate", **options)
    assert not (tmp_path / "out").exists()


def test_motion_is_the_scale_of_the_model_s_own_lora(tmp_path: Path, lora: Path, tensors: dict[str, Tensor]) -> None:
    model = write_tiny_model(tmp_path / "model")
    without = generate(model, tmp_path / "without", f"{lora}:0.5")
    write_peft(model / "motion", tensors, r=4, lora_alpha=4)
    write_manifest(model, open_model(model).manifest)
    still = generate(model, tmp_path / "still", motion=0.5)
    layers = [exr.read_stack(shot.frames).layers for shot in (without, still)]
    assert all((layers[0][name] == layers[1][name]).all() for name in layers[0])
    assert frames(tmp_path / "still") and "layerflow:loraSha256" not in exr.read_header(still.frames[0])
    (model / "motion" / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"motion/adapter_config.json of model tiny is missing or damaged"):
        generate(model, tmp_path / "again", motion=0.5)
