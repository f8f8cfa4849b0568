"""What moves which weights, and kernels of convolutions as matrices."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from layerflow.training.optimizers import KernelMuon, Optimizers

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_kernel_moves_as_its_matrix_does() -> None:
    torch.manual_seed(1)
    kernel = nn.Parameter(torch.randn(4, 3, 2, 2))
    matrix = nn.Parameter(kernel.detach().clone().flatten(1))
    ours = KernelMuon([kernel], lr=0.1, weight_decay=0.0)
    theirs = torch.optim.Muon([matrix], lr=0.1, weight_decay=0.0)
    before = matrix.detach().clone()
    for _ in range(3):
        gradient = torch.randn(4, 3, 2, 2)
        kernel.grad, matrix.grad = gradient.clone(), gradient.flatten(1)
        ours.step()
        theirs.step()
        ours.zero_grad()
        assert kernel.grad is None
    assert torch.equal(kernel.flatten(1), matrix) and not torch.equal(matrix, before)


def test_weights_that_are_elsewhere_by_now_are_moved_all_the_same() -> None:
    kernel = nn.Parameter(torch.ones(2, 2, 3, 3))
    muon = KernelMuon([kernel], lr=0.1)
    kernel.data = kernel.data.clone()  # as `module.to(device)` does
    kernel.grad = torch.randn(2, 2, 3, 3)
    muon.step()
    assert not torch.equal(kernel, torch.ones(2, 2, 3, 3))


def test_every_weight_has_one_optimiser() -> None:
    module = nn.ModuleDict({"pixel_head": nn.ModuleDict({"before": nn.ModuleList([nn.Conv2d(3, 3, 3)])})})
    module["transformer_blocks"] = nn.ModuleList([nn.Linear(3, 3)])
    module["other"] = nn.Linear(3, 3)
    made = Optimizers(lr=1.0, muon_lr=2.0, beside_lr=3.0).made(module)
    assert [type(each).__name__ for each in made] == ["KernelMuon", "AdamW", "AdamW"]
    assert [each.param_groups[0]["lr"] for each in made] == [2.0, 1.0, 3.0]
    moved = [weight.numel() for each in made for group in each.param_groups for weight in group["params"]]
    assert sum(moved) == sum(weight.numel() for weight in module.parameters())
    assert sorted(moved[:2]) == [9, 81]  # the block's matrix and the head's kernel
