"""FP8 linear layers: which they are, where they are refused, and what torchao makes of them against plain torch."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from loras import random_lora, write_diffusers
from rendering import contents, header, render, write_plate
from tiny import write_tiny_model
from torch import Tensor, nn

from layerflow import shots
from layerflow.errors import RequestError
from layerflow.models import float8
from layerflow.models.estimate import estimate
from layerflow.models.float8 import big_linears, float8_linear, precision_of, quantize_linears, rounded_rows
from layerflow.models.folder import open_model
from layerflow.models.load import LoadOptions, load_engine
from layerflow.models.network import load_transformer
from layerflow.models.places import pick_dtype
from layerflow.models.plans import BALANCED, FULL, LOW
from layerflow.transformer import LayerFlowTransformer

pytestmark = pytest.mark.usefixtures("one_thread")

GPU = torch.device("cuda", 0)
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
TOLERANCE = 2.0**-7  # one step of bfloat16: sums run in another order


@pytest.fixture
def any_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a CPU stand for the GPU that it takes: torchao's own code runs there once it is not asked."""
    from torchao.quantization import quant_api

    monkeypatch.setattr(quant_api, "_check_hardware_support", lambda granularity: None)
    monkeypatch.setattr("layerflow.models.places.refuse_without_float8", lambda device: None)


@pytest.fixture
def network(tiny_model: Path) -> LayerFlowTransformer:
    return load_transformer(open_model(tiny_model), dtype=torch.bfloat16)


def rows(*shape: int, seed: int = 3) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).bfloat16()


def test_the_big_linears_are_attention_and_feed_forward(network: LayerFlowTransformer) -> None:
    names = [name for name, _ in big_linears(network)]
    assert len(names) == 2 * 6
    assert names[:6] == [
        f"transformer_blocks.0.{name}"
        for name in ("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0", "ff.net.0.proj", "ff.net.2")
    ]


def test_a_row_on_paper() -> None:
    """Three bits behind the point: steps of 2 from 16 on, ties to even; the largest number takes the whole range."""
    row = torch.tensor([[448.0, 17.0, 18.0, 19.0, -300.0], [0.0, 0.0, 0.0, 0.0, 0.0], [4.48, 0.17, 0.0, 0.0, 0.0]])
    expected = torch.tensor([[448.0, 16.0, 18.0, 20.0, -288.0], [0.0] * 5, [4.48, 0.17, 0.0, 0.0, 0.0]])
    held = rounded_rows(row)
    assert torch.equal(held[:2], expected[:2])
    assert held[2, 1] == pytest.approx(0.16) and held[2, 0] == pytest.approx(4.48)


@pytest.mark.usefixtures("any_device")
@pytest.mark.parametrize("device", DEVICES)
def test_torchao_is_the_reference(network: LayerFlowTransformer, device: str) -> None:
    for _, linear in big_linears(network.to(device)):
        x, weight, bias = rows(2, 16, linear.in_features).to(device), linear.weight.clone(), linear.bias
        quantize_one(linear)
        expected = float8_linear(x, weight, bias)
        assert (linear(x) - expected).abs().max() <= TOLERANCE * expected.abs().max()
        assert 0.002 < (expected - F.linear(x, weight, bias)).abs().max() / expected.abs().max() < 0.1


@pytest.mark.usefixtures("any_device")
@pytest.mark.parametrize("device", DEVICES)
def test_a_whole_network_is_the_reference(network: LayerFlowTransformer, device: str) -> None:
    """A last bit that differs may round to the next step of FP8 in a later layer, so it is near and not equal."""
    inputs = [
        rows(2, 8, network.config.latent_channels, 4, 6).float(),
        torch.tensor([500.0, 20.0]),
        rows(2, 3, 8, network.config.text_width),
        torch.arange(3.0).bfloat16(),
    ]
    inputs, network = [value.to(device) for value in inputs], network.to(device)
    exact = network(*inputs)
    for _, linear in big_linears(network):
        linear.forward = partial(float8_linear, weight=linear.weight, bias=linear.bias)
    expected = network(*inputs)
    for _, linear in big_linears(network):
        del linear.forward
    quantize_linears(network)
    error, far = ((v - expected).square().mean().sqrt() for v in (network(*inputs), exact))
    assert error < 0.25 * far and far < 0.1 * exact.std()


def quantize_one(linear: nn.Linear) -> None:
    """FP8 for one layer, in the place where the first block has its query."""
    block = nn.Module()
    block.attn1 = nn.Module()
    block.attn1.to_q = linear
    whole = nn.Module()
    whole.transformer_blocks = nn.ModuleList([block])
    quantize_linears(whole)
    assert precision_of(whole) == "float8"


@pytest.mark.usefixtures("any_device")
def test_only_the_big_linears_are_turned(network: LayerFlowTransformer) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    big = {f"{name}.weight" for name, _ in big_linears(network)}
    assert precision_of(network) == "bfloat16"
    quantize_linears(network)
    assert precision_of(network) == "float8" and network.dtype == torch.bfloat16
    for name, value in network.state_dict().items():
        if name in big:
            assert value.qdata.dtype == torch.float8_e4m3fn and value.scale.shape == (len(before[name]), 1)
            assert torch.equal(value.dequantize(torch.float32), rounded_rows(before[name]))
        else:
            assert torch.equal(value, before[name])
    assert all(value.device.type == "meta" for value in network.to("meta").parameters())  # they move as before


@pytest.mark.usefixtures("any_device")
def test_a_backend_that_cannot_read_it_refuses(tiny_model: Path) -> None:
    options = LoadOptions(device="cpu", precision="float8", backend="onnxruntime")
    with pytest.raises(RequestError, match=r"onnxruntime cannot run float8; use --precision bfloat16 or --backend eag"):
        load_engine(open_model(tiny_model), options)


@pytest.mark.usefixtures("any_device")
def test_a_row_or_a_token_of_zeros_is_no_end(network: LayerFlowTransformer) -> None:
    first, second, *_ = (linear for _, linear in big_linears(network))
    first.weight.data[3] = 0
    quantize_linears(network)
    assert type(first.weight.data) is Tensor  # it stays as it is
    tokens = rows(4, second.in_features)
    tokens[1] = 0
    assert torch.equal(second(tokens)[1], second.bias)


@pytest.mark.parametrize(
    ("device", "capability", "torchao", "sentence"),
    [
        ("cpu", None, True, "float8 needs an NVIDIA GPU, not cpu; use --precision bfloat16"),
        ("cuda:0", (8, 6), True, "float8 needs a GPU of compute capability 8.9 .* cuda:0 has 8.6; use --precision bf"),
        ("cuda:0", (8, 9), False, r"float8 needs the extra fp8; pip install 'layerflow\[fp8\]'"),
    ],
)
def test_where_it_is_refused(
    monkeypatch: pytest.MonkeyPatch, device: str, capability: tuple[int, int] | None, torchao: bool, sentence: str
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(float8, "find_spec", lambda name: torchao or None)
    with pytest.raises(RequestError, match=sentence):
        pick_dtype("float8", torch.device(device))


def test_it_is_bfloat16_where_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (12, 0))
    assert pick_dtype("float8", GPU) == torch.bfloat16
    assert pick_dtype("auto", GPU) == torch.bfloat16


def test_a_shot_without_such_a_gpu_is_refused_before_anything_is_written(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="float8 needs an NVIDIA GPU, not cpu"):
        render(tiny_model, tmp_path / "out", task="generate", device="cpu", precision="float8")
    assert not list(tmp_path.rglob("*.*"))


def test_its_weights_are_estimated_at_a_byte_each(tiny_model: Path, network: LayerFlowTransformer) -> None:
    folder, saved = open_model(tiny_model), sum(linear.weight.numel() for _, linear in big_linears(network))

    def bytes_of(**options: bool) -> dict[str, int]:
        plans = {"full": FULL, "turns": BALANCED, "low": LOW}
        return {
            name: estimate(folder, plan, GPU, torch.bfloat16, **options).transformer for name, plan in plans.items()
        }

    exact, small = bytes_of(), bytes_of(float8=True)
    assert {name: exact[name] - small[name] for name in exact} == dict.fromkeys(exact, saved)  # both blocks at once


@pytest.mark.usefixtures("any_device")
def test_a_lora_is_merged_before(tiny_model: Path, tmp_path: Path, network: LayerFlowTransformer) -> None:
    name = "transformer_blocks.0.attn1.to_q"
    lora = write_diffusers(tmp_path, random_lora(network, (name,)))
    folder = open_model(tiny_model)
    merged = load_transformer(folder, dtype=torch.bfloat16, lora=[str(lora)]).get_parameter(f"{name}.weight")
    engine = load_engine(folder, LoadOptions(device="cpu", precision="float8", lora=(str(lora),)))
    held = engine.transformer.get_parameter(f"{name}.weight").dequantize(torch.float32)
    assert torch.equal(held, rounded_rows(merged))


@pytest.mark.usefixtures("any_device")
def test_a_shot_says_so_and_can_be_made_again(tmp_path: Path) -> None:
    model, plate = write_tiny_model(tmp_path / "model"), write_plate(tmp_path / "plate", count=2)
    made = {
        precision: render(model, tmp_path / precision, plate=plate, device="cpu", precision=precision).frames[0]
        for precision in ("bfloat16", "float8")
    }
    assert header(made["float8"])["layerflow:precision"] == "float8"
    assert json.loads(header(made["float8"])["layerflow:request"])["precision"] == "float8"
    shots.rerun(str(made["float8"]), output=str(tmp_path / "again" / "dog.%04d.exr"))
    assert contents(tmp_path / "again") == contents(tmp_path / "float8") != contents(tmp_path / "bfloat16")
