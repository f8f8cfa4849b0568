"""The training loss: v-prediction on noised layers, the given ones neither noised nor scored.

Equal to the released objective, (denoised - x_0)^2 / (1 - a^2) averaged over everything, since
denoised - x_0 = -sqrt(1 - a^2) (v_predicted - v).

Shapes: B batch, F latent frame of the whole sequence, C channel, H W latent rows and columns, G prompt, N token.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from layerflow.denoisers import given_mask
from layerflow.layout import Layout
from layerflow.sampler import NoiseSchedule
from layerflow.text import layer_index
from layerflow.transformer import LayerFlowTransformer


def v_loss(
    transformer: LayerFlowTransformer,
    clean: Tensor,  # [B, F, C, H, W]
    noise: Tensor,  # [B, predicted frames, C, H, W]
    text: Tensor,  # [B, G, N, width]
    timestep: Tensor,  # [B] int, in [0, 999]
    layout: Layout,
    schedule: NoiseSchedule,
    *,
    weights: Mapping[str, float] = MappingProxyType({}),
) -> Tensor:
    """Mean squared error of v over the predicted latents, a scalar.

    `weights` are of layers whose error counts for more or less than that of others, which have 1; as released, all do.
    """
    given = given_mask(layout).to(clean.device)
    a = schedule.training_signal.to(clean)[timestep][:, None, None, None, None]
    sigma = (1.0 - a**2).sqrt()
    target = clean[:, ~given]
    noisy = clean.clone()
    noisy[:, ~given] = a * target + sigma * noise
    v = transformer(noisy, timestep.to(clean), text, layer_index(layout).to(clean), given if layout.given else None)
    error = v[:, ~given].float() - (a * noise - sigma * target)
    loss: Tensor = error.square()
    if weights:
        loss = loss * frame_weights(layout, weights)[~given.cpu()].to(loss)[:, None, None, None]
    return loss.mean()


def frame_weights(layout: Layout, weights: Mapping[str, float]) -> Tensor:  # [F]
    """How much each latent frame counts, 1 on average over those that are predicted."""
    every = torch.ones(layout.num_latents)
    for name, weight in weights.items():
        if name in layout.layers:
            every[layout.span(name)] = weight
    return every / every[~given_mask(layout)].mean()
