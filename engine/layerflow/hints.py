"""What is thought of an alpha before it is made: what sampling begins with, and what of it is kept to.

No model has to know of it. While there is more noise than picture the estimate of the clean alpha is led to the guess,
so that its noisy latents are the guess's and the other layers come about beside it; from then on, to what is certain
alone. Of the other layers nothing is guessed: a model keeps to what it is begun with, and hidden colours were worse.

Shapes: F frame, f latent frame of the whole sequence, P latent frame that the model makes, C channel.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as nnf

from layerflow.denoisers import given_mask
from layerflow.layout import Layout

SIGNAL = 0.3  # of a noise level: below, the guess counts; measured: from .2 to .45 mattes are about as good


@dataclass(frozen=True, kw_only=True)
class Hint:
    """A clip's alpha as it may be, [F, 1, H, W] in [0, 1] each."""

    alpha: Tensor
    certain: Tensor  # where that is what it is
    trust: Tensor  # how far to begin with it


@dataclass(frozen=True, kw_only=True)
class Guess:
    """A hint in latents. Other layers have weight 0."""

    latents: Tensor  # [1, P, C, h, w]
    certain: Tensor  # [P, 1, h, w] in [0, 1]
    trust: Tensor

    def put(self, estimate: Tensor, *, signal: float) -> Tensor:  # [B, P, C, h, w]
        """The sampler's `estimate` of the clean latents, at the noise level `signal`, led to what is thought of them.

        A latent stands for many pixels over several frames: it is led as far as they are certain.
        """
        weight = self.trust if signal < SIGNAL else self.certain
        return torch.lerp(estimate, self.latents.to(estimate), weight.to(estimate))


def guess_of(hint: Hint, layout: Layout, latents: Tensor) -> Guess:
    """The guess that `hint` is, of the sequence that was encoded with its alpha, `latents` `[f, C, h, w]`."""
    made = ~given_mask(layout)
    certain, trust = (_pooled(plane, layout, latents)[made] for plane in (hint.certain, hint.trust))
    return Guess(latents=latents[made][None].contiguous(), certain=certain, trust=trust)


def _pooled(plane: Tensor, layout: Layout, latents: Tensor) -> Tensor:  # [F, 1, H, W] -> [f, 1, h, w]
    whole = latents.new_zeros(layout.num_latents, 1, *latents.shape[-2:])
    size = layout.latent_frames, *latents.shape[-2:]
    whole[layout.span("alpha")] = nnf.adaptive_avg_pool3d(plane.movedim(1, 0), size).movedim(0, 1)
    return whole
