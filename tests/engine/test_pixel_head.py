"""A head in pixels: nothing at first, each layer by its own pixels, and at any size."""

from __future__ import annotations

import pytest
import torch
from einops import rearrange
from tiny import random_linear_codec
from torch import Tensor

from layerflow.codec import LinearCodec
from layerflow.pixel_head import PixelHead, picked

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
    """Every other row of pixels of layer 2 into layer 0, which a gate of whole latents cannot."""
    shown = latents()
    gates = torch.zeros(LAYERS, LAYERS + 1, 2, 2)
    gates[0, 2, 0] = 1.0  # the upper row of each 2 x 2
    with torch.no_grad():
        head.gates.bias.copy_(gates.flatten())
        added = head(latents(), shown, torch.randn(2, TIME))
    rms = head.rms[[0, 0, 1, 1, 2, 2], 0, 0, 0][None, :, :, None, None]
    source = codec.to_pixels((shown * rms)[:, 4:])
    source[..., 1::2, :] = 0.0
    expected = torch.zeros_like(added)
    expected[:, :2] = codec.to_latents(source)
    torch.testing.assert_close(added * rms, expected, atol=1e-4, rtol=1e-4)


def test_a_gate_takes_back_what_was_made(head: PixelHead, codec: LinearCodec) -> None:
    gates = torch.zeros(LAYERS, LAYERS + 1, 4)
    gates[1, LAYERS] = -1.0
    made = latents()
    with torch.no_grad():
        head.gates.bias.copy_(gates.flatten())
        left = made + head(made, latents(), torch.randn(2, TIME))
    torch.testing.assert_close(left[:, 2:4], torch.zeros_like(left[:, 2:4]), atol=1e-5, rtol=0)
    assert torch.equal(left[:, :2], made[:, :2]) and torch.equal(left[:, 4:], made[:, 4:])


def test_some_frames_by_themselves_are_those_of_the_whole(head: PixelHead) -> None:
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    made, shown, temb = latents(), latents(), torch.randn(2, TIME)
    frames = torch.tensor([[1, 6], [3, 3]])
    with torch.no_grad():
        whole, some = head.pictures(made, shown, temb), head.pictures(made, shown, temb, None, frames)
    torch.testing.assert_close(some, picked(whole, frames), atol=1e-4, rtol=1e-4)
    assert torch.equal(picked(whole, frames)[0, 1], whole[0, 6])


def test_what_it_should_give_is_what_is_missing(head: PixelHead, codec: LinearCodec) -> None:
    missing = latents()
    wanted = head.target(missing)
    rms = head.rms[[0, 0, 1, 1, 2, 2], 0, 0, 0][None, :, :, None, None]
    pixels = codec.to_pixels((missing * rms)[:, 2:4])  # of layer 1, [2, 8, 3, 32, 48]
    blocks = rearrange(pixels, "b n c (h p) (w q) -> b n (p q c) h w", p=2, q=2)
    torch.testing.assert_close(wanted[:, :, 1], blocks, atol=1e-4, rtol=1e-4)


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
