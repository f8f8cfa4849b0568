"""Every kernel against its plain reference, in Triton's interpreter."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from in_interpreter import Run
from torch import Tensor

pytest.importorskip("triton", reason="Triton is for Linux only")

from layerflow_export.kernels.bias_gelu import bias_gelu, bias_gelu_reference
from layerflow_export.kernels.gate_residual import gate_residual, gate_residual_reference
from layerflow_export.kernels.layer_norm_modulate import (
    layer_norm_modulate,
    layer_norm_modulate_reference,
)
from layerflow_export.kernels.qk_norm import qk_norm, qk_norm_reference

examples = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
dtypes = st.sampled_from([torch.float32, torch.float16, torch.bfloat16])
batches, tokens, seeds = st.integers(1, 3), st.integers(1, 6), st.integers(0, 2**31)
widths = st.one_of(st.integers(1, 70), st.sampled_from([1920, 2048, 2049]))


def assert_close(got: Tensor, reference: Tensor) -> None:
    """Within 2e-6 of the largest number and one step of the type: the interpreter cuts bfloat16 off, a GPU rounds."""
    atol = 2e-6 * max(1.0, reference.abs().max().item())
    assert got.dtype == reference.dtype
    torch.testing.assert_close(got, reference, atol=atol, rtol=torch.finfo(reference.dtype).eps)


def rows(*shape: int) -> Tensor:
    """Rows that are never nearly constant, where a LayerNorm would show the last bit of its input."""
    return torch.linspace(-2.0, 3.0, shape[-1]) + 0.3 * torch.randn(shape)


def inside_longer(x: Tensor) -> Tensor:
    """The same numbers as a slice of a longer sequence, as the video tokens are behind the text."""
    longer = x.new_full((x.shape[0], x.shape[1] + 3, *x.shape[2:]), torch.nan)
    longer[:, 2:-1] = x
    return longer[:, 2:-1]


@examples
@given(dtypes, batches, tokens, widths, seeds)
def test_layer_norm_modulate(run: Run, dtype: torch.dtype, batch: int, tokens: int, width: int, seed: int) -> None:
    torch.manual_seed(seed)
    x = inside_longer(rows(batch, tokens, width).to(dtype))
    weight, bias = torch.randn(2, width).to(dtype)
    scale, shift, *_ = torch.randn(batch, 6 * width).to(dtype).chunk(6, dim=1)
    told = (x, weight, bias, scale, shift)
    assert_close(run(layer_norm_modulate, *told), layer_norm_modulate_reference(*told))


@examples
@given(dtypes, batches, tokens, widths, seeds)
def test_gate_residual(run: Run, dtype: torch.dtype, batch: int, tokens: int, width: int, seed: int) -> None:
    torch.manual_seed(seed)
    x = torch.randn(batch, tokens, width).to(dtype)
    y = inside_longer(torch.randn(batch, tokens, width).to(dtype))
    _, gate = torch.randn(batch, 2 * width).to(dtype).chunk(2, dim=1)
    assert_close(run(gate_residual, x, y, gate), gate_residual_reference(x, y, gate))


@examples
@given(dtypes, batches, tokens, widths, seeds)
def test_bias_gelu(run: Run, dtype: torch.dtype, batch: int, tokens: int, width: int, seed: int) -> None:
    torch.manual_seed(seed)
    x, bias = 3.0 * torch.randn(batch, tokens, width).to(dtype), torch.randn(width).to(dtype)
    assert_close(run(bias_gelu, x.clone(), bias), bias_gelu_reference(x, bias))


@examples
@given(dtypes, batches, tokens, st.integers(1, 5), st.sampled_from([1, 7, 16, 24, 64, 80]), st.booleans(), seeds)
def test_qk_norm(
    run: Run, dtype: torch.dtype, batch: int, tokens: int, heads: int, width: int, merged: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    q, k, _ = rows(batch, tokens, 3 * heads, width).to(dtype).chunk(3, dim=2)
    q, k = (q, k) if merged else (q.contiguous(), k.contiguous())
    affine = torch.randn(4, width).to(dtype)
    for got, reference in zip(run(qk_norm, q, k, *affine), qk_norm_reference(q, k, *affine), strict=True):
        assert_close(got, reference)


def test_a_constant_row_becomes_its_shift(run: Run) -> None:
    x, bias = torch.full((2, 3, 40), 7.0), torch.zeros(40)
    shift = torch.tensor([[0.5], [-2.0]]).expand(2, 40).contiguous()
    got = run(layer_norm_modulate, x, torch.ones(40), bias, torch.ones(2, 40), shift)
    assert torch.equal(got, shift[:, None].expand(2, 3, 40))


def test_two_numbers_become_minus_one_and_one(run: Run) -> None:
    q, k = torch.tensor([[[[3.0, 5.0]]]]), torch.tensor([[[[-4.0, -2.0]]]])
    told = (q, k, torch.ones(2), torch.zeros(2), torch.ones(2), torch.zeros(2))
    for got in run(qk_norm, *told, eps=0.0):
        assert got.flatten().tolist() == pytest.approx([-1.0, 1.0], abs=1e-6)


def test_a_closed_gate_leaves_the_stream_as_it_is(run: Run) -> None:
    x, y = torch.randn(2, 3, 40), torch.randn(2, 3, 40)
    gate = torch.stack([torch.zeros(40), torch.ones(40)])
    got = run(gate_residual, x, y, gate)
    assert torch.equal(got[0], x[0]) and torch.equal(got[1], x[1] + y[1])


def test_gelu_has_its_known_values_and_no_nan_far_out(run: Run) -> None:
    x = torch.tensor([[0.0, 1.0, 100.0, -100.0, 1e20, -1e20]])
    one = 0.5 * (1 + math.tanh(math.sqrt(2 / math.pi) * 1.044715))
    assert run(bias_gelu, x, torch.zeros(6)).tolist() == [pytest.approx([0.0, one, 100.0, 0.0, 1e20, 0.0])]


def test_gelu_writes_over_its_input(run: Run) -> None:
    x = torch.ones(1, 2, 8)
    x.share_memory_()
    got = run(bias_gelu, x, torch.zeros(8))
    assert torch.equal(x, got) and got[0, 0, 0] != 1.0


def test_what_the_kernels_refuse() -> None:
    x, gate = torch.zeros(2, 3, 8), torch.zeros(2, 8)
    with pytest.raises(ValueError, match="no gradients; call them under torch"):
        gate_residual(x, x, gate.clone().requires_grad_())
    with pytest.raises(ValueError, match="float32, float16 or bfloat16, got"):
        gate_residual(x.double(), x, gate)
    with pytest.raises(ValueError, match="side by side"):
        gate_residual(x.transpose(1, 2), x.transpose(1, 2), torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"gate has the shape \(1, 8\), and \(2, 8\) is needed"):
        gate_residual(x, x, gate[:1])
    with pytest.raises(ValueError, match="one device, got cpu and meta"):
        gate_residual(x, x.to("meta"), gate)
    with pytest.raises(ValueError, match="rows of 1 to 8192 numbers, got rows = 0"):
        gate_residual(x[:, :0], x[:, :0], gate)
    with pytest.raises(ValueError, match="writes over a contiguous x"):
        bias_gelu(torch.zeros(2, 3, 16)[..., :8], torch.zeros(8))
    with pytest.raises(ValueError, match="q and k of the same strides"):
        q = torch.zeros(1, 2, 6, 8)
        qk_norm(q[:, :, :3], q[:, :, 3:].contiguous(), *torch.zeros(4, 8))
