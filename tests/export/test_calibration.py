"""What calibration sees: every big linear layer, every task, both halves of guidance, early steps and late ones."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from layerflow.denoisers import LayerDenoiser
from layerflow.models.folder import open_model
from layerflow.sampler import Guidance, Sampler
from layerflow_export.calibration import CLIPS, NUM_STEPS, WEIGHT, calibrate, watching, with_both_halves

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_largest_number_of_either_sign_counts():
    block = nn.Module()
    block.attn1 = nn.Module()
    block.attn1.to_q = nn.Linear(2, 2)
    whole = nn.Module()
    whole.transformer_blocks = nn.ModuleList([block])
    with watching(whole) as largest:
        assert largest == {"transformer_blocks.0.attn1.to_q": 0.0}
        for row in ([1.0, 2.0], [-7.0, 3.0], [4.0, 5.0]):
            block.attn1.to_q(torch.tensor([row]))
    block.attn1.to_q(torch.tensor([[9.0, 9.0]]))
    assert largest == {"transformer_blocks.0.attn1.to_q": 7.0}


def test_the_whole_of_sampling_is_seen(tiny_model, monkeypatch):
    folder, calls = open_model(tiny_model), []
    denoise = LayerDenoiser.__call__

    def seen(self, latents, timestep, text):
        calls.append((self.layout.given, len(latents), float(timestep[0])))
        return denoise(self, latents, timestep, text)

    monkeypatch.setattr(LayerDenoiser, "__call__", seen)
    largest = calibrate(folder)
    layouts = {layout.given for layout in folder.manifest.layouts.values()}
    assert {given for given, _, _ in calls} == layouts and len(layouts) == 4
    assert len(calls) == 4 * len(CLIPS) * NUM_STEPS
    assert {batch for _, batch, _ in calls} == {2}
    assert len({timestep for _, _, timestep in calls}) == NUM_STEPS
    assert min(timestep for _, _, timestep in calls) < 200 < 990 < max(timestep for _, _, timestep in calls)
    assert len(largest) == 12 and all(value > 0 for value in largest.values())
    for block in range(2):
        assert len({largest[f"transformer_blocks.{block}.attn1.to_{name}"] for name in "qkv"}) == 1


@pytest.mark.parametrize(
    ("own", "weight"),
    [(Guidance(), None), (Guidance(scale=6.0, power=None), 6.0), (Guidance(scale=1.0, power=None), WEIGHT)],
)
def test_a_model_without_guidance_is_given_some(own, weight):
    sampler = with_both_halves(Sampler(num_steps=4, guidance=own))
    assert sampler.guidance == own if weight is None else sampler.guidance.weight(500, 4) == weight
