"""Networks that are where they work only while they work: the same numbers, and each move in its turn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers.hooks import apply_group_offloading
from loras import random_lora, write_diffusers
from tiny import tiny_transformer, tiny_vae, write_tiny_model, write_tiny_released
from torch import Tensor, nn

from layerflow.codec import VideoVAE
from layerflow.layout import VARIANTS
from layerflow.models import offload
from layerflow.models.folder import open_model, write_manifest
from layerflow.models.load import LoadOptions, load_engine
from layerflow.models.offload import offload_blocks
from layerflow.models.plans import PLANS
from layerflow.residence import visiting
from layerflow.transformer import LayerFlowTransformer

pytestmark = pytest.mark.usefixtures("one_thread")
CPU, ELSEWHERE = torch.device("cpu"), torch.device("cpu", 0)  # the second stands for a GPU


@pytest.fixture
def moves(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every move of a whole network, in order; the weights themselves stay."""
    made: list[str] = []

    def move(self: nn.Module, device: torch.device) -> nn.Module:
        made.append(f"{type(self).__name__} to {device}")
        return self

    for network in (LayerFlowTransformer, type(tiny_vae())):
        monkeypatch.setattr(network, "to", move)
    yield made


def inputs(dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(2, 16, 4, 4, 6, generator=generator)
    text = torch.randn(2, 3, 8, 32, generator=generator).to(dtype)
    return latents, torch.tensor([500.0, 500.0]), text, torch.arange(3.0).to(dtype)


@torch.inference_mode()
def test_blocks_from_the_file_give_the_same_numbers(released_model: Path) -> None:
    path = released_model / "transformer"
    plain = LayerFlowTransformer.from_pretrained(path).eval()
    streamed = LayerFlowTransformer.from_pretrained(path).eval()
    offload_blocks(streamed, CPU, torch.float32)
    assert {parameter.device.type for parameter in streamed.parameters()} == {"meta"}
    for _ in range(2):
        assert torch.equal(streamed(*inputs()), plain(*inputs()))
    assert {parameter.device.type for parameter in streamed.parameters()} == {"meta"}


@torch.inference_mode()
@pytest.mark.parametrize(
    ("stored", "dtype"), [("float16", "float32"), ("float32", "bfloat16"), ("bfloat16", "float32")]
)
@pytest.mark.parametrize("mixed_layers", [0, 4])
def test_blocks_of_another_type_are_cast_as_they_are_loaded(
    tmp_path: Path, stored: str, dtype: str, mixed_layers: int
) -> None:
    """Also where some of the numbers are float32 whatever the weights are: those of the preconditioner."""
    layouts = {"generate": VARIANTS["gen_rgba"].layout}
    network = tiny_transformer(4, layouts, mixed_layers=mixed_layers)
    if network.precondition is not None:
        network.precondition.rms.uniform_(0.5, 1.5)
        network.precondition.signal.uniform_()
    network.to(getattr(torch, stored)).save_pretrained(tmp_path)
    plain = LayerFlowTransformer.from_pretrained(tmp_path, torch_dtype=getattr(torch, dtype)).eval()
    streamed = LayerFlowTransformer.from_pretrained(tmp_path, torch_dtype=getattr(torch, stored)).eval()
    offload_blocks(streamed, CPU, getattr(torch, dtype))
    assert torch.equal(streamed(*inputs(plain.dtype)), plain(*inputs(plain.dtype)))


@torch.inference_mode()
def test_a_lora_under_low_gives_the_numbers_of_full(tmp_path: Path) -> None:
    """Also where the file's type would round what is merged."""
    folder = write_tiny_released(tmp_path / "model")
    network = LayerFlowTransformer.from_pretrained(folder / "transformer")
    network.bfloat16().save_pretrained(folder / "transformer")
    model = write_manifest(folder, open_model(folder).manifest)
    lora = write_diffusers(tmp_path / "lora", random_lora(network.float()))
    options = LoadOptions(device="cpu", precision="float32", memory="full", lora=(str(lora),))
    full, low = (load_engine(model, replace(options, memory=plan)).network for plan in ("full", "low"))
    assert torch.equal(full(*inputs(), None), low(*inputs(), None))


@torch.inference_mode()
def test_groups_of_blocks_give_the_same_numbers(released_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real hooks of a GPU, between the CPU and itself."""
    asked: list[torch.device] = []

    def between_cpus(network: nn.Module, *, onload_device: torch.device, **options: object) -> None:
        asked.append(onload_device)
        apply_group_offloading(network, onload_device=CPU, **(options | {"use_stream": False}))  # type: ignore[arg-type]

    monkeypatch.setattr(offload, "apply_group_offloading", between_cpus)
    path = released_model / "transformer"
    plain = LayerFlowTransformer.from_pretrained(path).eval()
    grouped = LayerFlowTransformer.from_pretrained(path).eval()
    offload_blocks(grouped, torch.device("cuda:1"), torch.float32)
    for _ in range(2):
        assert torch.equal(grouped(*inputs()), plain(*inputs()))
    assert asked == [torch.device("cuda:1")]


@torch.inference_mode()
@pytest.mark.parametrize("tile", [None, 32])
def test_a_vae_visits_its_device_only_while_it_works(moves: list[str], tile: int | None) -> None:
    codec = VideoVAE(tiny_vae(), streaming=tile is not None, tile=tile, device=ELSEWHERE)
    there_and_back = ["AutoencoderKLCogVideoX to cpu:0", "AutoencoderKLCogVideoX to cpu"]
    latents = codec.encode(torch.zeros(4, 3, 64, 64), torch.Generator())
    assert moves == there_and_back
    moves.clear()
    pieces = codec.stream(latents)
    assert moves == []
    next(pieces)
    assert moves == there_and_back[:1]
    assert not list(pieces) and moves == there_and_back


def test_a_visit_ends_when_there_is_no_room(moves: list[str]) -> None:
    network = tiny_vae()
    with pytest.raises(MemoryError), visiting(network, ELSEWHERE):
        raise MemoryError
    assert moves == ["AutoencoderKLCogVideoX to cpu:0", "AutoencoderKLCogVideoX to cpu"]


def test_what_is_there_already_is_not_touched(moves: list[str]) -> None:
    """A move to where a weight is would still put a new tensor in its place, while another thread reads it."""
    with visiting(tiny_vae(), torch.device("cpu")):
        pass
    assert not moves


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
def test_where_the_networks_of_each_plan_are(tmp_path: Path, moves: list[str], monkeypatch, plan) -> None:
    monkeypatch.setattr("layerflow.models.load.pick_device", lambda name: ELSEWHERE)
    engine = load_engine(open_model(write_tiny_released(tmp_path)), LoadOptions(memory=plan.name))
    loaded = {
        "full": ["LayerFlowTransformer to cpu:0", "AutoencoderKLCogVideoX to cpu:0"],
        "balanced": [],
        "low": [],
    }
    assert engine.plan == plan and moves == loaded[plan.name]
    moves.clear()
    with engine.sampling():
        there = list(moves)
    visit = ["LayerFlowTransformer to cpu:0", "LayerFlowTransformer to cpu"] if plan.name == "balanced" else []
    assert there == visit[:1] and moves == visit
    assert (engine.text.residence, engine.codec.tile) == (plan.text, plan.tile)


def test_a_linear_codec_knows_no_plan(tmp_path: Path) -> None:
    folder = open_model(write_tiny_model(tmp_path))
    engines = [load_engine(folder, LoadOptions(memory=plan.name)) for plan in PLANS]
    latents = torch.randn(2, 6, 4, 6, generator=torch.Generator().manual_seed(0))
    pictures = [torch.cat(list(engine.codec.stream(latents))) for engine in engines]
    assert all(torch.equal(picture, pictures[0]) for picture in pictures)
