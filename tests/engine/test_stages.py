"""The three stages on a tiny model: what each trains and on what, what it leaves behind, and going on."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from stagecraft import stage_config, write_stage_data
from torch import Tensor

from layerflow.errors import Interrupted, ModelError, RequestError
from layerflow.models.adapter_files import find_lora
from layerflow.models.folder import open_model
from layerflow.models.network import load_transformer
from layerflow.training import stages
from layerflow.training.batches import Batch
from layerflow.training.config import Config
from layerflow.training.devices import open_accelerator
from layerflow.training.lora import CONTENT, MOTION, chosen_blocks, load_lora, set_scale
from layerflow.training.materials import Materials
from layerflow.training.stages import train_stage
from layerflow.training.trainer import Trainer
from layerflow.training.watching import Told
from layerflow.transformer import LayerFlowTransformer

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def config_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stage_data(tmp_path_factory.mktemp("stages"))


@pytest.fixture(scope="module")
def trained(config_file: Path) -> Config:
    """All three stages, trained into one output."""
    config = stage_config(config_file, config_file.parent / "whole")
    for name in ("base", "motion-lora", "content-lora"):
        train_stage(config, name)
    return config


def trainer_of(config: Config, name: str) -> Trainer:
    materials = Materials(config, name)
    accelerator = open_accelerator(device=CPU)
    network = stages.prepared_network(config, name, materials)
    stages._fill(materials, accelerator, Told())
    return stages._trainer(config, materials, network, accelerator, Told())


def state(trainer: Trainer) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in trainer.objective.named_parameters()}


def changed(before: dict[str, Tensor], trainer: Trainer) -> set[str]:
    return {name for name, value in state(trainer).items() if not torch.equal(value, before[name])}


def test_the_chosen_blocks_are_those_of_the_release() -> None:
    assert chosen_blocks(30, 6) == (5, 11, 17, 23, 29)
    assert chosen_blocks(2, 1) == (0, 1)


def test_base_trains_the_chosen_blocks_and_the_layer_embedding(trained: Config, tmp_path: Path) -> None:
    trainer = trainer_of(replace(trained, output=tmp_path, cache=replace(trained.cache, folder=tmp_path)), "base")
    before = state(trainer)
    trainer.advance()
    moved = changed(before, trainer)
    expected = {
        name
        for name in before
        if name.startswith(("transformer.transformer_blocks.1.", "transformer.layer_embedding."))
    }
    assert moved <= expected and len(moved) > 0.8 * len(expected)
    trainer.objective(trainer.feed.batch(0, 0)).backward()
    weights = dict(trainer.objective.named_parameters())
    assert {
        name for name, weight in weights.items() if weight.grad is not None
    } == expected  # several processes wait for all


@pytest.mark.parametrize(("stage", "adapter"), [("motion-lora", MOTION), ("content-lora", CONTENT)])
def test_a_lora_stage_trains_its_own_lora_on_the_same_blocks(trained: Config, stage: str, adapter: str) -> None:
    trainer = trainer_of(trained, stage)
    before = state(trainer)
    trainer.advance()
    trainer.advance()
    moved = changed(before, trainer)
    own = {name for name in before if f".lora_A.{adapter}." in name or f".lora_B.{adapter}." in name}
    assert moved == own and len(own) == 6
    assert all(name.startswith("transformer.transformer_blocks.1.") for name in own)
    assert set(trainer.average.kept) == own


def batches(trainer: Trainer, num: int = 30) -> list[Batch]:
    return [trainer.feed.batch(step, 0) for step in range(num)]


def is_still(batch: Batch) -> bool:
    """Whether the two latent frames of the background, the last layer but one, are alike."""
    span = batch.layout.span("background")
    first, second = batch.clean[:, span].unbind(dim=1)
    return bool((first - second).abs().max() < 1e-3)


def test_the_motion_lora_sees_stills_only_at_scale_1(trained: Config) -> None:
    seen = batches(trainer_of(trained, "motion-lora"))
    assert {batch.motion for batch in seen} == {1.0}
    assert all(is_still(batch) for batch in seen)


def test_the_content_lora_sees_stills_at_scale_1_and_a_little_video_at_0(trained: Config) -> None:
    seen = batches(trainer_of(trained, "content-lora"), 60)
    video = [batch for batch in seen if batch.motion == 0.0]
    assert 0.2 < len(video) / len(seen) < 0.6
    assert not all(is_still(batch) for batch in video)
    assert all(is_still(batch) for batch in seen if batch.motion == 1.0)


def test_what_is_given_is_neither_noised_nor_scored(trained: Config) -> None:
    trainer = trainer_of(trained, "motion-lora")
    batch = next(batch for batch in batches(trainer) if batch.layout.is_given("blended"))
    told = []
    network = trainer.objective.transformer
    forward = network.forward
    network.forward = lambda latents, *rest: told.append(latents) or forward(latents, *rest)
    trainer.objective(batch)
    span = batch.layout.span("blended")
    assert torch.equal(told[0][:, span], batch.clean[:, span])
    assert not torch.equal(told[0][:, batch.layout.span("alpha")], batch.clean[:, batch.layout.span("alpha")])
    assert batch.noise.shape[1] == batch.layout.num_predicted == 6


def test_at_scale_0_the_motion_lora_has_no_gradient(trained: Config) -> None:
    trainer = trainer_of(trained, "motion-lora")
    moving, still = (replace(trainer.feed.batch(0, 0), motion=scale) for scale in (0.0, 1.0))
    for _ in range(2):
        trainer.advance()
    for batch, has in ((moving, False), (still, True)):
        trainer.objective.zero_grad(set_to_none=True)
        trainer.objective(batch).backward()
        gradients = [weight.grad for weight in trainer.objective.parameters() if weight.grad is not None]
        assert any(gradient.any() for gradient in gradients) is has


def test_prompts_are_dropped_each_by_itself(trained: Config) -> None:
    kept = torch.stack([batch.kept.sum(dim=1) for batch in batches(trainer_of(trained, "motion-lora"), 150)]).flatten()
    prompts = torch.cat([batch.kept.flatten() for batch in batches(trainer_of(trained, "motion-lora"), 150)])
    assert prompts.float().mean() == pytest.approx(0.9, abs=0.03) and len(kept.unique()) > 1


def test_a_step_has_the_same_samples_on_two_processes_as_on_one(trained: Config) -> None:
    feed = trainer_of(trained, "content-lora").feed
    whole = replace(feed, portion=replace(feed.portion, batch=4)).batch(7, 0)
    halves = [replace(feed, portion=replace(feed.portion, rank=rank, num_processes=2)).batch(7, 0) for rank in (0, 1)]
    for name in ("clean", "noise", "timestep", "kept", "text"):
        assert torch.equal(getattr(whole, name), torch.cat([getattr(half, name) for half in halves]))
    assert {half.motion for half in halves} == {whole.motion}


def prediction(network: LayerFlowTransformer) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    latents, text = torch.randn(1, 8, 6, 4, 6, generator=generator), torch.randn(1, 3, 8, 32, generator=generator)
    with torch.no_grad():
        return network(latents, torch.tensor([500.0]), text, torch.arange(3.0))


def test_the_merged_model_is_the_base_with_the_content_lora_on(trained: Config) -> None:
    base = open_model(trained.output / "base" / "model")
    merged = open_model(trained.output / "content-lora" / "model")
    file = trained.output / "content-lora" / "content-lora.safetensors"
    plain = load_transformer(base, dtype=torch.float32)
    adapted = load_transformer(base, dtype=torch.float32)
    load_lora(adapted, CONTENT, find_lora(str(file)), base.path / "transformer")
    expected = prediction(adapted)
    assert (expected - prediction(plain)).abs().max() > 1e-3
    torch.testing.assert_close(prediction(load_transformer(merged, dtype=torch.float32)), expected, rtol=0, atol=1e-5)
    assert merged.manifest.layouts == base.manifest.layouts and not list(merged.damaged())


def test_the_engine_takes_the_motion_lora_at_any_scale(trained: Config) -> None:
    base = open_model(trained.output / "base" / "model")
    file = trained.output / "motion-lora" / "motion-lora.safetensors"
    adapted = load_transformer(base, dtype=torch.float32)
    load_lora(adapted, MOTION, find_lora(str(file)), base.path / "transformer")
    for scale in (0.0, 0.5, 1.0, -1.0):
        set_scale(adapted, MOTION, scale)
        merged = load_transformer(base, dtype=torch.float32, lora=[f"{file}:{scale}"])
        torch.testing.assert_close(prediction(merged), prediction(adapted), rtol=0, atol=1e-5)
    still = load_transformer(open_model(trained.output / "content-lora" / "model"), dtype=torch.float32, motion=1.0)
    content = trained.output / "content-lora" / "content-lora.safetensors"
    both = load_transformer(base, dtype=torch.float32, lora=[f"{file}:1", str(content)])
    torch.testing.assert_close(prediction(still), prediction(both), rtol=0, atol=1e-5)


def test_the_base_model_is_what_was_trained_and_the_rest_of_the_start(trained: Config) -> None:
    start, made = (
        load_file(folder / "transformer" / "diffusion_pytorch_model.safetensors")
        for folder in (Path(trained.start), trained.output / "base" / "model")
    )
    moved = {name for name in start if not torch.equal(start[name], made[name])}
    assert moved and all(name.startswith(("transformer_blocks.1.", "layer_embedding.")) for name in moved)


@pytest.mark.parametrize("stage", ["base", "content-lora"])
def test_a_run_that_goes_on_ends_as_an_undisturbed_one(trained: Config, tmp_path: Path, stage: str) -> None:
    for name in ("base", "motion-lora"):
        if stage != "base":
            shutil.copytree(trained.output / name, tmp_path / name)
    stop = iter([False, False, True])
    config = replace(trained, output=tmp_path, save_every=100, cache=replace(trained.cache, folder=tmp_path / "cache"))
    with pytest.raises(Interrupted, match="stopped after step 3; the same command with --resume goes on"):
        train_stage(config, stage, told=Told(stopped=lambda: next(stop)))
    train_stage(config, stage, resume=True)
    name = f"{stage}/model/transformer/diffusion_pytorch_model.safetensors"
    ours, whole = load_file(tmp_path / name), load_file(trained.output / name)
    assert ours.keys() == whole.keys() and all(torch.equal(ours[key], whole[key]) for key in whole)


@pytest.mark.parametrize("half", [20, pytest.param(500, marks=pytest.mark.long)])
def test_a_run_from_its_middle_checkpoint_on_has_the_bits_of_the_whole(
    trained: Config, tmp_path: Path, half: int
) -> None:
    config = replace(trained, output=tmp_path, cache=replace(trained.cache, folder=trained.output / "cache"))
    config = replace(config, base=replace(config.base, steps=2 * half, batch=1, warmup_steps=10, decay=0.3))
    whole = trainer_of(config, "base")
    for step in range(2 * half):
        if step == half:
            whole.save()
        whole.advance()
    second = trainer_of(config, "base")
    second.resume()
    assert second.progress.step == half
    for _ in range(half):
        second.advance()
    assert second.progress.losses == whole.progress.losses
    for ours, other in ((state(second), state(whole)), (second.average.kept, whole.average.kept)):
        assert all(torch.equal(ours[name], other[name]) for name in other)


def test_another_setting_is_not_gone_on_with(trained: Config) -> None:
    other = replace(trained, motion_lora=replace(trained.motion_lora, lr=1.0))
    with pytest.raises(ModelError, match=r"was begun with motion-lora.lr 0.01, now it is 1.0; put that back"):
        train_stage(other, "motion-lora", resume=True)
    with pytest.raises(ModelError, match="holds a training already; give --resume to go on, or another -o"):
        train_stage(trained, "motion-lora")


def test_a_base_stage_in_the_middle_is_not_built_on(trained: Config, tmp_path: Path) -> None:
    shutil.copytree(trained.output / "base" / "checkpoints", tmp_path / "base" / "checkpoints")
    with pytest.raises(ModelError, match=r"the base stage in .* has not ended; go on with layerflow train base"):
        train_stage(replace(trained, output=tmp_path), "motion-lora")


def test_what_cannot_be_trained_is_said(trained: Config, tmp_path: Path) -> None:
    fresh = replace(trained, output=tmp_path)
    with pytest.raises(RequestError, match=r"there is no Motion LoRA .*; train it first with layerflow train motion-l"):
        train_stage(fresh, "content-lora")
    with pytest.raises(RequestError, match="every_block is 3 and tiny has 2 blocks; choose at most that"):
        train_stage(replace(fresh, every_block=3), "base")
    with pytest.raises(RequestError, match=r"is no dataset: it has neither manifest.json nor captions.json; name in"):
        train_stage(replace(fresh, base=replace(fresh.base, data=tmp_path)), "base")
    assert not list(tmp_path.rglob("*.safetensors")) and not list(tmp_path.rglob("*.pt"))


def test_a_lora_begins_the_same_every_time(trained: Config) -> None:
    first = state(trainer_of(trained, "motion-lora"))
    torch.rand(7)
    again = state(trainer_of(trained, "motion-lora"))
    assert all(torch.equal(first[name], again[name]) for name in first)


@pytest.mark.parametrize("stage", ["base", "motion-lora", "content-lora"])
def test_what_is_trained_learns(trained: Config, tmp_path: Path, stage: str) -> None:
    trainer = trainer_of(trained, stage)
    batch = trainer.feed.batch(0, 0)
    trainer.feed = SimpleNamespace(batch=lambda step, micro: batch)
    losses = [trainer.advance().loss for _ in range(40)]
    assert losses[-1] < 0.97 * losses[0]
