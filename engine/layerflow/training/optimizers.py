"""What moves the weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from layerflow.training.average import trained_weights

BESIDE = ("pixel_head.", "layer_words.")


@dataclass(frozen=True, kw_only=True)
class Optimizers:
    """AdamW for all that is trained, or Muon for the blocks' matrices and the head's kernels and AdamW for the rest.

    What is beside the blocks may have a learning rate of its own.
    """

    lr: float
    muon_lr: float | None = None
    beside_lr: float | None = None  # of what is beside the blocks and may be new there
    betas: tuple[float, float] = (0.9, 0.999)

    def made(self, module: nn.Module) -> list[torch.optim.Optimizer]:
        """Optimisers of what of `module` requires gradients, each at its peak learning rate."""
        weights = dict(trained_weights(module))
        by_muon = [name for name, weight in weights.items() if self.muon_lr and _is_inner_matrix(name, weight)]
        rest = [name for name in weights if name not in by_muon]
        beside = [name for name in rest if self.beside_lr and any(part in name for part in BESIDE)]
        others = [weights[name] for name in rest if name not in beside]
        made: list[torch.optim.Optimizer] = []
        if by_muon and self.muon_lr:
            made.append(KernelMuon([weights[name] for name in by_muon], lr=self.muon_lr, weight_decay=0.0))
        apart = [weights[name] for name in beside]
        for own, lr in ((others, self.lr), (apart, self.beside_lr)):
            if own and lr:
                made.append(torch.optim.AdamW(own, lr=lr, betas=self.betas, weight_decay=0.0))
        return made


class KernelMuon(torch.optim.Muon):
    """Muon that takes the kernels of convolutions, too, as matrices `[out, in * rows * columns]` (Jordan et al. 2024).

    Its state is of the matrices.
    """

    def __init__(self, weights: Sequence[nn.Parameter], **settings: Any) -> None:
        self.weights = list(weights)
        super().__init__([weight.detach().flatten(1) for weight in weights], **settings)

    def step(self, closure: Any = None) -> Any:
        """Moves the weights; they may have been moved to another device since they were given."""
        for matrix, weight in self._pairs():
            matrix.data = weight.detach().flatten(1)
            matrix.grad = None if weight.grad is None else weight.grad.flatten(1)
        return super().step(closure)  # type: ignore[no-untyped-call]  # torch has no types here

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients, those of the weights themselves too."""
        super().zero_grad(set_to_none)
        for weight in self.weights:
            if set_to_none:
                weight.grad = None
            elif weight.grad is not None:
                weight.grad.zero_()

    def _pairs(self) -> list[tuple[torch.Tensor, nn.Parameter]]:
        matrices = [matrix for group in self.param_groups for matrix in group["params"]]
        return list(zip(matrices, self.weights, strict=True))


def _is_inner_matrix(name: str, weight: nn.Parameter) -> bool:
    in_block = "transformer_blocks" in name and "norm" not in name and weight.ndim == 2
    in_head = "pixel_head." in name and (".before." in name or ".after." in name) and weight.ndim == 4
    return in_block or in_head
