"""The transformer on the kernels gives the eager v; and where it cannot run, one sentence says so."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from in_interpreter import Run
from torch import Tensor

from layerflow.errors import RequestError
from layerflow.transformer import LayerFlowTransformer
from layerflow_export.attention import TORCHS_OWN
from layerflow_export.block_switch import BlockSwitch
from layerflow_export.kernels import denoiser
from layerflow_export.kernels.denoiser import fused, why_not

Told = tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]


def random_transformer(**options: object) -> LayerFlowTransformer:
    """Two blocks of two heads of 24, so that no width is a power of two; no weight is zero."""
    torch.manual_seed(0)
    network = LayerFlowTransformer(
        num_attention_heads=2,
        attention_head_dim=24,
        num_blocks=2,
        latent_channels=4,
        text_width=32,
        time_width=16,
        text_tokens=6,
        position_frames=6,
        position_rows=2,
        position_columns=3,
        has_layer_embedding=True,
        **options,
    )
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    return network.eval()


def fused_v(network: LayerFlowTransformer, told: Told) -> tuple[Tensor, list[str]]:
    """v on the kernels, and what hooks saw called."""
    from layerflow_export.kernels.blocks import fused_forward

    ran: list[str] = []
    for block in network.transformer_blocks:
        block.register_forward_hook(lambda block, *_: ran.append(type(block).__name__))
    with BlockSwitch(network, partial(fused_forward, lambda q, k, v: TORCHS_OWN)).on():
        return network(*told), ran


@pytest.mark.parametrize("options", [{}, {"mixed_layers": 3, "has_given_embedding": True}], ids=["released", "mini"])
def test_v_is_the_eager_one_within_rounding(run: Run, options: dict[str, object]) -> None:
    pytest.importorskip("triton", reason="Triton is for Linux only")
    network = random_transformer(**options)
    given = torch.tensor([True, False] * 3) if options else None
    told = (torch.randn(2, 6, 4, 4, 6), torch.tensor([999.0, 3.0]), torch.randn(2, 3, 2, 32), torch.arange(3.0), given)
    with torch.inference_mode():
        eager = network(*told).clone()
    v, ran = run(fused_v, network, told)
    assert ran == ["CogVideoXBlock"] * 2
    assert (v - eager).abs().max() <= 2e-6 * eager.std()
    assert not torch.equal(v, eager)  # or it was not the kernels that ran


def float8_v(network: LayerFlowTransformer, told: Told) -> tuple[Tensor, Tensor]:
    """v with layers in FP8, eager and on the kernels."""
    from torchao.quantization import quant_api

    from layerflow.models.float8 import quantize_linears

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quant_api, "_check_hardware_support", lambda granularity: None)  # a CPU stands for a GPU
        quantize_linears(network)
    return network(*told), fused_v(network, told)[0]


def test_layers_in_fp8_run_between_the_kernels(run: Run) -> None:
    """Near, not equal: what the kernels round less often may come to the next step of FP8."""
    pytest.importorskip("triton", reason="Triton is for Linux only")
    told = (torch.randn(2, 6, 4, 4, 6), torch.tensor([999.0, 3.0]), torch.randn(2, 3, 2, 32).bfloat16())
    index = torch.arange(3.0).bfloat16()
    eager, v = run(float8_v, random_transformer().bfloat16(), (*told, index, None))
    assert 0 < (v - eager).square().mean().sqrt() < 0.02 * eager.std()


def test_without_a_gpu_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RequestError, match=r"^the backend kernels needs an NVIDIA GPU; leave --backend auto$"):
        fused(random_transformer())


def test_latents_on_a_cpu_beside_a_gpu_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton", reason="Triton is for Linux only")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    network = fused(random_transformer())
    with pytest.raises(RequestError, match="needs an NVIDIA GPU"):
        network(torch.zeros(1, 6, 4, 4, 6), torch.ones(1), torch.zeros(1, 3, 2, 32), torch.arange(3.0), None)


def test_without_triton_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(denoiser, "find_spec", lambda name: None)
    assert str(why_not()).startswith("the backend kernels needs Triton; install it with pip")


def test_offloaded_blocks_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from layerflow.models.offload import offload_blocks

    pytest.importorskip("triton", reason="Triton is for Linux only")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    network = random_transformer()
    offload_blocks(network, torch.device("cpu"), torch.float32)
    with pytest.raises(RequestError, match=r"^the backend kernels needs the whole transformer .* use --backend eager"):
        fused(network, prepared=True)


@pytest.mark.gpu
def test_v_on_a_gpu_is_the_eager_one_within_rounding() -> None:
    network = random_transformer().cuda()
    told = (torch.randn(2, 6, 4, 4, 6), torch.tensor([999.0, 3.0]), torch.randn(2, 3, 2, 32), torch.arange(3.0))
    told = tuple(value.cuda() for value in told)
    with torch.inference_mode():
        eager = network(*told)
        network = fused(network)
        for _ in range(3):  # as it is, recorded, replayed
            assert (network(*told, None) - eager).abs().max() <= 2e-6 * eager.std()
