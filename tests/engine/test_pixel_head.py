"""A head in pixels: nothing at first, each layer by its own pixels, and at any size."""

from __future__ import annotations

import pytest
import torch
from tiny import random_linear_codec
from torch import Tensor

from layerflow.codec import LinearCodec
from layerflow.pixel_head import PixelHead

pytestmark = pytest.mark.usefixtures("one_thread")

LAYERS, CHANNELS, TIME = 3, 12, 16


@pytest.fixture
def codec() -> LinearCodec:
    torch.manual_seed(3)
    made = random_linear_codec(CHANNELS)
    made.mean.zero_()
    made.scale.uniform_(0.5, 2.0)
    return made


@pytest.fixture
def head(codec: LinearCodec) -> PixelHead:
    torch.manual_seed(4)
    made = PixelHead(LAYERS, CHANNELS, TIME, (8, 12, 16))
    made.take_codec(codec, torch.rand(LAYERS, CHANNELS) + 0.5)
    return made


def latents(rows: int = 4, columns: int = 6) -> Tensor:
    return torch.randn(2, LAYERS * 2, CHANNELS, rows, columns)


@pytest.mark.parametrize("size", [(4, 6), (2, 2), (6, 10)])
def test_it_begins_by_adding_nothing_at_any_size(head: PixelHead, size: tuple[int, int]) -> None:
    added = head(latents(*size), latents(*size), torch.randn(2, TIME))
    assert added.shape == (2, LAYERS * 2, CHANNELS, *size) and not added.any()


def test_a_gate_copies_one_layer_into_another_pixel_by_pixel(head: PixelHead, codec: LinearCodec) -> None:
    """All of layer 2 into layer 0, from the third column of blocks on not, as a whole-latent gate could do as well;
    and where the gate is open in every other row of pixels alone, which only pixels can."""
    shown = latents()
    gates = torch.zeros(LAYERS, LAYERS, 2, 2)
    gates[0, 2, 0] = 1.0  # the upper row of each 2 x 2
    with torch.no_grad():
        head.gates.bias.copy_(gates.flatten())
        added = head(latents(), shown, torch.randn(2, TIME))
    rms = head.rms[[0, 0, 1, 1, 2, 2]][None, :, :, None, None]
    source = codec.to_pixels((shown * rms)[:, 4:])
    source[..., 1::2, :] = 0.0
    expected = torch.zeros_like(added)
    expected[:, :2] = codec.to_latents(source)
    torch.testing.assert_close(added * rms, expected, atol=1e-4, rtol=1e-4)


def test_what_is_added_is_of_the_pixels_around(head: PixelHead) -> None:
    """A change in one corner of a large picture does not reach the other one."""
    torch.manual_seed(0)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    made, shown, temb = latents(24, 24), latents(24, 24), torch.randn(2, TIME)
    changed = shown.clone()
    changed[..., 0, 0] += 1.0
    with torch.no_grad():
        apart = (head(made, changed, temb) - head(made, shown, temb)).abs().amax(dim=(0, 1, 2))
    assert apart[0, 0] > 1e-3 and apart[12:, 12:].max() < 1e-6


def test_the_timestep_changes_what_is_added(head: PixelHead) -> None:
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    made, shown = latents(), latents()
    with torch.no_grad():
        one, other = head(made, shown, torch.zeros(2, TIME)), head(made, shown, torch.ones(2, TIME))
    assert (one - other).abs().max() > 1e-3
