"""Another forward counts only while its backend runs, and hooks are called around it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from networks import inputs_of, network_of
from torch import Tensor

from layerflow.denoisers import interruptible
from layerflow.errors import Interrupted, RequestError
from layerflow.layout import LAYERS
from layerflow.models.folder import open_model
from layerflow.models.offload import offload_blocks
from layerflow.step_cache import Reuse, reusing
from layerflow.transformer import LayerFlowTransformer
from layerflow_export.block_switch import BlockSwitch, is_hooked, refuse_offloaded

SHAPE = (1, 8, 4, 6, 3, 8)


@pytest.fixture
def network(tiny_model: Path) -> LayerFlowTransformer:
    return network_of(tiny_model)


def nothing(block: torch.nn.Module, video: Tensor, text: Tensor, temb: Tensor) -> tuple[Tensor, Tensor]:
    return torch.zeros_like(video), torch.zeros_like(text)


@torch.inference_mode()
def test_only_within_on(network: LayerFlowTransformer) -> None:
    inputs = inputs_of(network, SHAPE)
    eager = network(**inputs)
    switch = BlockSwitch(network, nothing)
    assert torch.equal(network(**inputs), eager)
    with pytest.raises(ZeroDivisionError), switch.on():
        assert not torch.equal(network(**inputs), eager)
        raise ZeroDivisionError
    assert torch.equal(network(**inputs), eager)


@torch.inference_mode()
def test_the_last_of_two_counts(network: LayerFlowTransformer) -> None:
    inputs, called = inputs_of(network, SHAPE), []
    first = BlockSwitch(network, lambda *streams: called.append("first") or nothing(*streams))
    second = BlockSwitch(network, lambda *streams: called.append("second") or nothing(*streams))
    with second.on():
        network(**inputs)
    with first.on():
        network(**inputs)
    assert called == ["second"] * 2 + ["first"] * 2


@torch.inference_mode()
def test_a_wish_to_stop_is_heard_within(network: LayerFlowTransformer) -> None:
    with interruptible(network, lambda: True), BlockSwitch(network, nothing).on(), pytest.raises(Interrupted):
        network(**inputs_of(network, SHAPE))


@torch.inference_mode()
def test_steps_that_reuse_each_other_leave_blocks_out(network: LayerFlowTransformer, tiny_model: Path) -> None:
    layout, called = open_model(tiny_model).layout("generate"), []
    switch = BlockSwitch(network, lambda *streams: called.append(1) or nothing(*streams))
    shape = (1, layout.num_latents, 4, 6, len(LAYERS), 8)
    assert not is_hooked(network)
    with reusing(network, layout, Reuse(limit=1.0, alpha_limit=1.0)) as begin:
        assert is_hooked(network)
        for step in range(3):
            begin(step)
            with switch.on():
                network(**inputs_of(network, shape))
    assert len(called) == 2 + 1 + 1
    assert not is_hooked(network)
    refuse_offloaded(network, "some")  # what the hooks left behind is no reason


def test_blocks_that_come_and_go_are_refused(network: LayerFlowTransformer) -> None:
    refuse_offloaded(network, "some")
    offload_blocks(network, torch.device("cpu"), torch.float32)
    with pytest.raises(RequestError, match=r"^the backend some needs the whole transformer .*; use --backend eager"):
        refuse_offloaded(network, "some")
