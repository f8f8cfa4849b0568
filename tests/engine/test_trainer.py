"""The training loop on a model of one small block and clips of two colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import random_linear_codec, save_linear_codec, write_text

from layerflow.errors import ModelError
from layerflow.layout import ALL_LAYERS, LAYERS
from layerflow.models.folder import open_model
from layerflow.models.load import LoadOptions, load_engine
from layerflow.sampler import NoiseSchedule
from layerflow.training.cases import Shares
from layerflow.training.mini import joint_trainer, write_model
from layerflow.training.recipe import Model, Recipe, fresh_model, measure_latents, started_model
from layerflow.training.schedule import Schedule
from layerflow.training.trainer import Trainer, step_of
from layerflow.transformer import LayerFlowTransformer

RED, BLUE, BLACK, GREY, WHITE = (1.0, -1.0, -1.0), (-1.0, -1.0, 1.0), -1.0, 0.0, 1.0
LOOKS: dict[str, tuple[Any, Any]] = {  # around the square and in it
    "foreground": (GREY, RED),
    "alpha": (BLACK, WHITE),
    "foreground2": (GREY, GREY),
    "alpha2": (BLACK, BLACK),
    "guide": (BLACK, WHITE),
    "background": (BLUE, BLUE),
    "blended": (BLUE, RED),
}
APART = Shares(**dict.fromkeys(Shares.__dataclass_fields__, 0.0) | {"decompose": 1.0})
RECIPE = Recipe(
    num_blocks=1,
    num_heads=2,
    head_width=16,
    time_width=16,
    height=32,
    width=48,
    prompt_tokens=8,
    batch=2,
    minutes=60.0,
    warmup_steps=1,
)


class TwoColours:
    """A red square before a blue wall, always the same; a second one is not there."""

    step = 0

    def advance(self) -> None:
        self.step += 1

    def batch(
        self, rng: np.random.Generator, size: int, layers: Sequence[str], *, framed: bool = False
    ) -> tuple[np.ndarray, list[tuple[str, ...]]]:
        clips = rng.normal(0.0, 0.01, (size, len(layers), 8, 32, 48, 3)).astype(np.float32)
        for place, name in enumerate(layers):
            around, inside = LOOKS[name]
            clips[:, place] += np.float32(around)
            clips[:, place, :, 8:24, 8:24] += np.float32(inside) - np.float32(around)
        return clips, [("a red dog", "a garden", "night", "a dog")] * size


@pytest.fixture
def start(tmp_path: Path) -> Path:
    folder = tmp_path / "init"
    torch.manual_seed(0)
    save_linear_codec(random_linear_codec(8), folder / "codec")
    write_text(folder)
    return folder


def measured(start: Path, recipe: Recipe = RECIPE) -> Model:
    model = fresh_model(recipe, start)
    clips = TwoColours().batch(np.random.default_rng(0), 2, ALL_LAYERS)[0]
    measure_latents(model, torch.from_numpy(clips).movedim(-1, -3), NoiseSchedule())
    return model


def trainer(start: Path, folder: Path, **changes: object) -> Trainer:
    recipe = replace(RECIPE, **changes)
    return joint_trainer(measured(start, recipe), recipe, TwoColours(), folder, device=torch.device("cpu"))


def advance(training: Trainer, steps: int) -> None:
    for _ in range(steps):
        training.advance()


def weights(training: Trainer) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in training.objective.parameters()])


def test_the_loss_falls(start: Path, tmp_path: Path) -> None:
    training = trainer(start, tmp_path / "run")
    advance(training, 60)
    losses = training.progress.losses
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:10])


def test_the_head_in_pixels_is_trained_alone(start: Path, tmp_path: Path) -> None:
    training = trainer(start, tmp_path / "run", pixel_widths=(8, 8), head_frames=2, beside_lr=1e-2, shares=APART)
    before = {name: weight.detach().clone() for name, weight in training.objective.named_parameters()}
    advance(training, 40)
    moved = {name for name, weight in training.objective.named_parameters() if not torch.equal(weight, before[name])}
    assert moved and all(name.startswith("transformer.pixel_head.") for name in moved)
    losses = training.progress.losses
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])


def test_the_time_box_ends_the_run_and_gives_the_averaged_weights(start: Path, tmp_path: Path) -> None:
    training = trainer(start, tmp_path / "run", minutes=0.02)
    training.run()
    assert training.progress.step >= 1
    for name, weight in training.objective.named_parameters():
        torch.testing.assert_close(weight.detach(), training.average.kept[name], rtol=0, atol=0)
    assert step_of(tmp_path / "run") == training.progress.step


def test_a_resumed_run_goes_on_as_if_never_stopped(start: Path, tmp_path: Path) -> None:
    whole = trainer(start, tmp_path / "whole")
    advance(whole, 4)
    first = trainer(start, tmp_path / "run")
    advance(first, 2)
    first.save()
    second = trainer(start, tmp_path / "run")
    second.feed.data.step = step_of(tmp_path / "run")
    second.resume()
    assert second.progress.step == 2
    advance(second, 2)
    assert second.progress.losses == whole.progress.losses
    torch.testing.assert_close(weights(second), weights(whole), rtol=0, atol=0)
    second.progress.step = 1
    with pytest.raises(ValueError, match="the data is 4 steps on and the training 1"):
        second.advance()


def test_a_resumed_head_goes_on_with_its_kernels_momentum(start: Path, tmp_path: Path) -> None:
    """Muon moves the kernels as matrices that share their storage; its state has to be found again."""
    changes = {"pixel_widths": (8, 8), "head_frames": 2, "muon_lr": 0.02, "shares": APART}
    whole = trainer(start, tmp_path / "whole", **changes)
    advance(whole, 4)
    first = trainer(start, tmp_path / "run", **changes)
    advance(first, 2)
    first.save()
    second = trainer(start, tmp_path / "run", **changes)
    second.feed.data.step = step_of(tmp_path / "run")
    second.resume()
    advance(second, 2)
    torch.testing.assert_close(weights(second), weights(whole), rtol=0, atol=0)
    kernels = second.objective.transformer.pixel_head.before[0].first.weight
    assert not torch.equal(kernels, first.objective.transformer.pixel_head.before[0].first.weight)


def test_nothing_to_resume_is_said(start: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no checkpoint in .*; train without --resume"):
        trainer(start, tmp_path / "none").resume()


def test_the_written_model_is_the_trained_one(start: Path, tmp_path: Path) -> None:
    training = trainer(start, tmp_path / "run")
    advance(training, 2)
    model = training.feed.model
    trained = model.transformer.state_dict()
    expected = {  # in half precision, but for the few numbers that always are float32
        name: value.clone() if name.startswith("precondition.") else value.half() for name, value in trained.items()
    }
    (tmp_path / "LICENSE-data.md").write_text("CC0")
    write_model(model, RECIPE, tmp_path / "model", {"LICENSE-data.md": tmp_path / "LICENSE-data.md"})
    engine = load_engine(open_model(tmp_path / "model"), LoadOptions(device="cpu"))
    assert "LICENSE-data.md" in engine.folder.manifest.sha256
    manifest = engine.folder.manifest
    assert (manifest.layouts, manifest.further) == (RECIPE.cases.layouts(), RECIPE.cases.further())
    stored = LayerFlowTransformer.from_pretrained(tmp_path / "model" / "transformer", torch_dtype=torch.float32)
    for name, value in stored.state_dict().items():
        torch.testing.assert_close(value, expected[name].float(), rtol=0, atol=0)
    assert engine.transformer.config.mixed_layers == len(LAYERS)
    again = started_model(RECIPE, engine.folder).transformer
    assert all(torch.equal(value, stored.state_dict()[name]) for name, value in again.state_dict().items())
    assert all(weight.requires_grad for weight in again.transformer_blocks.parameters())


def test_latent_sizes_are_measured_per_layer(start: Path) -> None:
    model = measured(start)
    precondition = model.transformer.precondition
    assert precondition is not None
    clips = torch.from_numpy(TwoColours().batch(np.random.default_rng(0), 2, ALL_LAYERS)[0]).movedim(-1, -3)
    latents = model.codec.to_latents(clips[:, 1])
    assert ALL_LAYERS[1] == "alpha"
    torch.testing.assert_close(precondition.rms[1], latents.square().mean(dim=(0, 1, 3, 4)).sqrt())
    c_in, c_skip, c_out = precondition(torch.zeros(1, 14, 8, 2, 3), torch.tensor([999]), None)
    torch.testing.assert_close(c_in, torch.zeros_like(c_in))  # pure noise says nothing
    torch.testing.assert_close(c_skip, torch.zeros_like(c_skip))
    torch.testing.assert_close(c_out[0, ::2, :, 0, 0], precondition.rms)


def test_a_step_takes_about_as_long_with_more_layers() -> None:
    cases = RECIPE.cases
    assert replace(RECIPE, batch=24).batch_of(cases.layouts()["generate"]) == 24
    assert replace(RECIPE, batch=24).batch_of(cases.further()[1][1]) == 16
    assert RECIPE.batch_of(cases.further()[1][1]) == 1


def test_learning_rates_rise_hold_and_fall() -> None:
    by_time = Schedule(minutes=1.0, warmup_steps=4, decay=0.5)
    scales = [by_time.lr_scale(*at) for at in ((0, 0.0), (3, 1.0), (9, 29.0), (9, 45.0), (9, 60.0))]
    assert scales == pytest.approx([0.25, 1.0, 1.0, 0.5, 0.04])
    by_steps = Schedule(steps=100, decay=0.2)
    assert [by_steps.lr_scale(step, 1e9) for step in (0, 79, 80, 90)] == pytest.approx([1.0, 1.0, 1.0, 0.5])
