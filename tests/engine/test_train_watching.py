"""What looks on while a stage trains: curves, losses on clips held out, sheets; and joint training by a config."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import OpenImageIO as oiio
import pytest
import torch
from stagecraft import stage_config, write_stage_data
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import write_tiny_model

from layerflow.models.folder import open_model
from layerflow.training.config import Config
from layerflow.training.stages import train_stage
from layerflow.training.watching import Curves, Told

pytestmark = pytest.mark.usefixtures("one_thread")

WATCHED = ("check_every=2", "check_clips=3", "sheets.every=4", "sheets.clips=1", "sheets.steps=2")


@pytest.fixture(scope="module")
def config_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stage_data(tmp_path_factory.mktemp("watching"))


@pytest.fixture(scope="module")
def watched(config_file: Path) -> tuple[Config, list[str]]:
    """The Motion LoRA, trained under everybody's eyes, and what was told."""
    config = stage_config(config_file, config_file.parent / "out", *WATCHED)
    told: list[str] = []
    train_stage(config, "motion-lora", told=Told(tell=told.append))
    return config, told


def scalars(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def test_curves_have_every_step(watched: tuple[Config, list[str]]) -> None:
    events = scalars(watched[0].output / "motion-lora" / "curves")
    for name in ("train/loss", "train/lr", "train/grad_norm", "train/samples_per_s"):
        values = events.Scalars(name)
        assert [value.step for value in values] == [1, 2, 3, 4] and all(value.value > 0 for value in values)
    assert [value.step for value in events.Scalars("held-out/frozen, motion 1")] == [2, 4]


def test_losses_on_clips_held_out(watched: tuple[Config, list[str]]) -> None:
    config, told = watched
    assert [line.partition(",")[0] for line in told] == ["step 2", "step 4"]
    events = scalars(config.output / "motion-lora" / "curves")
    still, moving = (
        [value.value for value in events.Scalars(f"held-out/{name}")]
        for name in ("frozen, motion 1", "moving, motion 0")
    )
    assert moving[0] == moving[1]  # the base model alone
    assert still[0] != still[1]


def test_sheets_show_the_layers_at_both_scales(watched: tuple[Config, list[str]]) -> None:
    found = sorted(path.name for path in (watched[0].output / "motion-lora" / "sheets").iterdir())
    assert found == ["step-00000004.motion-0.clip-1.png", "step-00000004.motion-1.clip-1.png"]
    picture = oiio.ImageBuf(str(watched[0].output / "motion-lora" / "sheets" / found[0])).get_pixels(oiio.FLOAT)
    assert picture.shape[0] > 4 * 32 and picture.shape[1] > 4 * 48 and picture.std() > 0.05


def test_without_tensorboard_one_sentence_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    told: list[str] = []
    curves = Curves(folder=tmp_path / "curves", tell=told.append)
    curves.write(1, {"train/loss": 1.0})
    curves.close()
    assert told == ["there will be no curves: TensorBoard is not installed; pip install 'layerflow[train]'"]
    assert not (tmp_path / "curves").exists()


def test_a_small_model_is_trained_jointly_by_its_config(config_file: Path, tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "small", further=True)
    config = stage_config(config_file, tmp_path / "out", "base.joint=true", "base.muon_lr=0.01", "base.steps=3")
    config = replace(config, start=str(tmp_path / "small"))
    (made,) = train_stage(config, "base")
    folder = open_model(made)
    assert "LICENSE-data.md" in folder.manifest.sha256 and not list(folder.damaged())
    start = open_model(Path(config.start))
    for part in ("transformer/diffusion_pytorch_model", "text_encoder/model"):
        assert folder.manifest.sha256[f"{part}.safetensors"] != start.manifest.sha256[f"{part}.safetensors"]
    assert len(scalars(tmp_path / "out" / "base" / "curves").Scalars("train/loss")) == 3
    assert torch.load(tmp_path / "out/base/checkpoints/step-00000003.pt", weights_only=True)["num_updates"] == 3
