"""A network for one foreground as the start of one for two: nothing that it does changes."""

from __future__ import annotations

import pytest
import torch
from tiny import PROMPT_TOKENS, random_linear_codec, tiny_transformer

from layerflow.layout import ALL_LAYERS, LAYERS, task_layouts
from layerflow.training.widening import grown, widened
from layerflow.transformer import LayerFlowTransformer

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def narrow() -> LayerFlowTransformer:
    torch.manual_seed(0)
    options = {"mixed_layers": len(LAYERS), "has_given_embedding": True, "trained_positions": True}
    network = tiny_transformer(4, task_layouts(8, 2), **options)
    network.precondition.rms.uniform_(0.2, 1.0)
    network.precondition.signal.copy_(torch.linspace(1, 0, 1000))
    return network


def test_with_one_foreground_a_widened_network_does_what_it_did(narrow: LayerFlowTransformer) -> None:
    wide = widened(narrow, num_prompts=4)
    assert wide.config.mixed_layers == len(ALL_LAYERS) and len(wide.text_positions) == 4 * PROMPT_TOKENS
    given = torch.arange(8) > 5
    with torch.no_grad(), wide.filling(tuple(map(ALL_LAYERS.index, LAYERS))):
        torch.testing.assert_close(wide(*inputs(), given), narrow(*inputs(), given), atol=1e-6, rtol=1e-6)


def test_new_layers_begin_alike_at_places_of_their_own(narrow: LayerFlowTransformer) -> None:
    wide = widened(narrow, num_prompts=4)
    rms = dict(zip(ALL_LAYERS, wide.precondition.rms, strict=True))
    assert torch.equal(rms["alpha2"], rms["alpha"]) and torch.equal(rms["guide"], rms["alpha"])
    assert torch.equal(rms["foreground2"], rms["foreground"])
    rows = dict(zip(ALL_LAYERS, wide.video_positions.unflatten(0, (len(ALL_LAYERS), -1)), strict=True))
    apart = rows["alpha2"] - rows["alpha"]
    assert apart.abs().max() > 0.1 and torch.allclose(apart, apart[:1, :1, :1].expand_as(apart), atol=1e-6)
    assert not torch.equal(rows["guide"], rows["alpha2"])


def inputs() -> tuple[torch.Tensor, ...]:
    torch.manual_seed(1)
    latents, text = torch.randn(2, 8, 4, 4, 6), torch.randn(2, 3, PROMPT_TOKENS, 32)
    return latents, torch.tensor([800.0, 3.0]), text, torch.arange(3.0)


def test_a_grown_network_does_what_it_did_and_can_learn_more(narrow: LayerFlowTransformer) -> None:
    larger = grown(narrow, random_linear_codec(4), prompt_tokens=PROMPT_TOKENS, pixel_widths=(8, 16))
    assert larger.config.pixel_widths == [8, 16] and larger.config.prompt_tokens == PROMPT_TOKENS
    with torch.no_grad():
        torch.testing.assert_close(larger(*inputs()), narrow(*inputs()), atol=1e-6, rtol=1e-6)
    larger(*inputs()).square().mean().backward()
    for name in ("pixel_head.added.weight", "pixel_head.gates.weight", "layer_words.proj.weight"):
        assert larger.get_parameter(name).grad.abs().max() > 0


def test_what_a_network_has_of_a_head_it_keeps(narrow: LayerFlowTransformer) -> None:
    larger = grown(narrow, random_linear_codec(4), prompt_tokens=PROMPT_TOKENS, pixel_widths=(8, 16))
    torch.nn.init.normal_(larger.pixel_head.added.weight)
    again = grown(larger, random_linear_codec(4), prompt_tokens=PROMPT_TOKENS, pixel_widths=(4,))
    assert again.config.pixel_widths == [8, 16]
    with torch.no_grad():
        assert torch.equal(again(*inputs()), larger(*inputs()))
