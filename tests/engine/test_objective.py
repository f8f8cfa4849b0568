"""The training loss: the released one, and layers that count for more in it."""

from __future__ import annotations

import pytest
import torch
from tiny import PROMPT_TOKENS, tiny_transformer
from torch import Tensor

from layerflow.layout import LAYERS, Layout, task_layouts
from layerflow.sampler import NoiseSchedule
from layerflow.training.objective import frame_weights, v_loss

pytestmark = pytest.mark.usefixtures("one_thread")

LAYOUTS = task_layouts(8, 2)
APART = LAYOUTS["decompose"]


def loss(layout: Layout, **weights: float) -> Tensor:
    torch.manual_seed(0)
    network = tiny_transformer(4, LAYOUTS, mixed_layers=len(LAYERS), has_given_embedding=True)
    clean, noise = torch.randn(2, 8, 4, 4, 6), torch.randn(2, layout.num_predicted, 4, 4, 6)
    text = torch.randn(2, len(layout.prompts), PROMPT_TOKENS, 32)
    return v_loss(network, clean, noise, text, torch.tensor([999, 400]), layout, NoiseSchedule(), weights=weights)


def test_layers_that_count_alike_are_the_released_loss() -> None:
    assert loss(APART).item() == pytest.approx(loss(APART, alpha=1.0).item(), rel=1e-6)
    assert loss(APART).item() != pytest.approx(loss(APART, alpha=3.0).item(), rel=1e-4)


def test_a_weighted_loss_is_the_weighted_mean_of_its_layers() -> None:
    alone = [loss(APART, **{other: 1e-6 for other in LAYERS[:3] if other != name}).item() for name in LAYERS[:3]]
    assert loss(APART).item() == pytest.approx(sum(alone) / 3, rel=1e-4)
    assert loss(APART, alpha=4.0).item() == pytest.approx((alone[0] + 4 * alone[1] + alone[2]) / 6, rel=1e-4)


def test_what_is_given_and_what_is_not_there_does_not_count() -> None:
    weights = frame_weights(APART, {"alpha": 4.0, "alpha2": 9.0, "blended": 100.0})
    assert weights[:6].mean() == 1.0 and weights[2] == 2.0 and weights[0] == 0.5
