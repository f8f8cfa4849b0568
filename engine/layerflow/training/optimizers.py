"""What moves the weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from layerflow.training.average import trained_weights

BESIDE = ("pixel_head.", "layer_words.")


@dataclass(frozen=True, kw_only=True)
class Optimizers:
    """AdamW for all that is trained, or Muon for the blocks' matrices and AdamW for the rest.

    What is beside the blocks may have a learning rate of its own.
    """

    lr: float
    muon_lr: float | None = None
    beside_lr: float | None = None  # of what is beside the blocks and may be new there
    betas: tuple[float, float] = (0.9, 0.999)

    def made(self, module: nn.Module) -> list[torch.optim.Optimizer]:
        """Optimisers of what of `module` requires gradients, each at its peak learning rate."""
        weights = dict(trained_weights(module))
        by_muon = [name for name, weight in weights.items() if self.muon_lr and _is_block_matrix(name, weight)]
        beside = [name for name in weights if self.beside_lr and any(part in name for part in BESIDE)]
        others = [weight for name, weight in weights.items() if name not in {*by_muon, *beside}]
        made: list[torch.optim.Optimizer] = []
        if by_muon and self.muon_lr:
            made.append(torch.optim.Muon([weights[name] for name in by_muon], lr=self.muon_lr, weight_decay=0.0))
        apart = [weights[name] for name in beside]
        for own, lr in ((others, self.lr), (apart, self.beside_lr)):
            if own and lr:
                made.append(torch.optim.AdamW(own, lr=lr, betas=self.betas, weight_decay=0.0))
        return made


def _is_block_matrix(name: str, weight: nn.Parameter) -> bool:
    return "transformer_blocks" in name and "norm" not in name and weight.ndim == 2
