"""The formula against torch's own count, and against what was worked out by hand for the released size."""

from __future__ import annotations

import pytest
import torch
from networks import every_shape, inputs_of, network_of
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from layerflow.transformer import LayerFlowTransformer
from layerflow_export.bench.flops import core_flops


@every_shape
@pytest.mark.parametrize("model", ["tiny_model", "released_model"])
def test_against_torch(model, shape, request):
    transformer = network_of(request.getfixturevalue(model))
    inputs = inputs_of(transformer, shape)
    latents, text = inputs["latents"], inputs["text"].flatten(1, 2)
    tables = transformer.tables(latents.shape, inputs["text"].shape, inputs["layer_index"], inputs["given"])
    with FlopCounterMode(display=False) as counted, sdpa_kernel(SDPBackend.MATH), torch.inference_mode():
        transformer.core(latents, inputs["timestep"], text, *tables)
    flops = core_flops(transformer.config, tuple(latents.shape[1:]), text.shape[1])
    assert len(latents) * flops.total == counted.get_total_flops()


def test_the_released_size():
    with torch.device("meta"):
        config = LayerFlowTransformer().config
    flops = core_flops(config, (16, 16, 60, 90), 3 * 226)
    assert flops.linear == pytest.approx(59.13e12, rel=1e-3)
    assert flops.attention == pytest.approx(114.35e12, rel=1e-3)
    assert flops.rest < 1e-3 * flops.total
