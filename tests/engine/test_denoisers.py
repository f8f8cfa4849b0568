"""How given latents reach the network and leave again, and how a step is broken off."""

from __future__ import annotations

from itertools import count

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import tiny_transformer
from torch import Tensor

from layerflow.denoisers import LayerDenoiser, eager, given_mask, interruptible, splice
from layerflow.errors import Interrupted
from layerflow.layout import VARIANTS, Layout, task_layouts

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("name", VARIANTS)
def test_the_mask_is_what_is_not_predicted(name: str) -> None:
    layout = VARIANTS[name].layout
    mask = given_mask(layout)
    assert len(mask) == layout.num_latents and int((~mask).sum()) == layout.num_predicted
    assert all(not mask[start:stop].any() for start, stop in layout.predicted)


@given(st.sets(st.integers(0, 12), max_size=6), st.integers(1, 3))
def test_splicing_puts_every_frame_in_its_place(edges: set[int], batch: int) -> None:
    ends = sorted(edges)
    layout = Layout(
        layers=("foreground", "background", "blended"), given=tuple(zip(ends[::2], ends[1::2], strict=False))
    )
    whole = torch.arange(12.0)[None, :, None].expand(batch, -1, 2)
    mask = given_mask(layout)
    assert torch.equal(splice(layout, whole[:, ~mask], whole[:, mask]), whole)


class Recorder:
    """A network that keeps what it was given; its v is the latents, so that one sees where they go."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Tensor | None]] = []

    def __call__(
        self, latents: Tensor, timestep: Tensor, text: Tensor, layer_index: Tensor, given: Tensor | None
    ) -> Tensor:
        self.calls.append({"latents": latents, "text": text, "layer_index": layer_index, "given": given})
        return latents


def test_the_condition_stands_clean_in_both_halves_and_is_taken_out_again() -> None:
    layout = VARIANTS["bg2fg_rgba"].layout
    clean, noisy = torch.full((1, 4, 2, 1, 1), 7.0), torch.randn(2, 13, 2, 1, 1)
    network = Recorder()
    v = LayerDenoiser(network=network, layout=layout, given=clean)(noisy, torch.ones(2), torch.zeros(2, 3, 4, 5))
    assert torch.equal(v, noisy)
    seen = network.calls[0]
    assert (seen["latents"][:, 9:13] == 7.0).all() and seen["latents"].shape[1] == 17
    assert torch.equal(seen["given"], given_mask(layout)) and seen["layer_index"].tolist() == [0.0, 1.0, 2.0]


def test_without_a_condition_there_is_no_mask() -> None:
    layout, network = VARIANTS["gen_rgb"].layout, Recorder()
    denoise = LayerDenoiser(network=network, layout=layout, given=torch.zeros(1, 0, 2, 1, 1))
    noisy = torch.randn(1, 12, 2, 1, 1)
    assert torch.equal(denoise(noisy, torch.ones(1), torch.zeros(1, 3, 4, 5)), noisy)
    assert network.calls[0]["given"] is None


def test_v_comes_back_as_float32_on_the_cpu() -> None:
    layout, network = VARIANTS["gen_rgb"].layout, Recorder()
    denoise = LayerDenoiser(network=network, layout=layout, given=torch.zeros(1, 0, 2, 1, 1), dtype=torch.bfloat16)
    v = denoise(torch.randn(1, 12, 2, 1, 1), torch.ones(1), torch.zeros(1, 3, 4, 5))
    assert v.dtype == torch.float32 and v.device.type == "cpu"
    assert network.calls[0]["latents"].dtype == torch.float32  # what becomes of them is the network's affair
    assert network.calls[0]["text"].dtype == network.calls[0]["layer_index"].dtype == torch.bfloat16


def test_a_step_is_broken_off_between_two_blocks() -> None:
    layouts = task_layouts(8, 2)
    network = tiny_transformer(4, layouts)
    told = (torch.randn(1, 8, 4, 4, 6), torch.ones(1), torch.randn(1, 3, 8, 32), torch.arange(3.0), None)
    undisturbed = eager(network)(*told)
    ran: list[str] = []
    for name, block in network.transformer_blocks.named_children():
        block.register_forward_hook(lambda *_, name=name: ran.append(name))
    calls = count()
    with (
        interruptible(network, lambda: next(calls) >= 1),
        pytest.raises(Interrupted, match="--resume goes on from here"),
    ):
        network(*told)
    assert ran == ["0"]
    with interruptible(network, lambda: False):
        assert torch.equal(network(*told), undisturbed)
    before = next(calls)
    assert torch.equal(network(*told), undisturbed) and next(calls) == before + 1  # nobody asks any more
