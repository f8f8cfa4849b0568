"""Queries, keys and values from one product: the same numbers, and no weight twice in memory."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.attention import Attention
from torch import nn

from layerflow_export.kernels.merged_qkv import joined, project_qkv


@pytest.fixture
def attention() -> Attention:
    torch.manual_seed(0)
    return Attention(query_dim=48, heads=2, dim_head=24, bias=True)


def linears_of(attention: Attention) -> list[nn.Linear]:
    return [attention.to_q, attention.to_k, attention.to_v]


def places(attention: Attention) -> list[int]:
    parts = [part for linear in linears_of(attention) for part in (linear.weight, linear.bias)]
    return [part.untyped_storage().data_ptr() for part in parts]


@torch.inference_mode()
def test_the_projections_are_the_three(attention: Attention) -> None:
    joint = torch.randn(2, 5, 48)
    three = [linear(joint) for linear in linears_of(attention)]
    for _ in range(2):
        for merged, alone in zip(project_qkv(attention, joint), three, strict=True):
            torch.testing.assert_close(merged, alone, atol=2e-6, rtol=0)
    assert merged.stride() == (5 * 144, 144, 1)  # one tensor holds all three


def test_weights_stay_what_they_were_and_are_held_once(attention: Attention) -> None:
    before = {name: value.clone() for name, value in attention.state_dict().items()}
    with torch.inference_mode():
        project_qkv(attention, torch.randn(1, 3, 48))
    after = attention.state_dict()
    assert after.keys() == before.keys() and all(torch.equal(after[name], before[name]) for name in before)
    weight, bias = set(places(attention)[::2]), set(places(attention)[1::2])
    assert len(weight) == len(bias) == 1
    assert attention.to_v.weight.untyped_storage().nbytes() == 3 * 48 * 48 * 4
    attention.to_q(torch.randn(1, 48)).sum().backward()  # still no tensor of inference mode


def test_they_are_joined_once_and_again_when_they_moved(attention: Attention) -> None:
    joint = torch.randn(1, 3, 48)
    project_qkv(attention, joint)
    once = places(attention)
    project_qkv(attention, joint)
    assert places(attention) == once
    alone = [linear(joint.double()) for linear in linears_of(attention.double())]
    torch.testing.assert_close(project_qkv(attention, joint.double()), tuple(alone))
    assert len(set(places(attention))) == 2 and set(places(attention)).isdisjoint(once)


def test_rows_that_only_look_joined_are_not() -> None:
    whole = torch.arange(12.0).reshape(6, 2)
    for picked in ([0, 2, 1], [0, 1, 1]):
        parts = [nn.Parameter(whole[2 * row : 2 * row + 2]) for row in picked]
        assert torch.equal(joined(parts), torch.cat([whole[2 * row : 2 * row + 2] for row in picked]))


def test_weights_of_another_kind_are_left_alone(attention: Attention) -> None:
    class Quantized(torch.Tensor):
        pass

    attention.to_k.weight = nn.Parameter(attention.to_k.weight.detach().as_subclass(Quantized))
    before = places(attention)
    with torch.inference_mode():
        q, _, v = project_qkv(attention, joint := torch.randn(1, 3, 48))
        assert torch.equal(q, attention.to_q(joint)) and torch.equal(v, attention.to_v(joint))
    assert places(attention) == before
