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


def head_loss(
    transformer: LayerFlowTransformer,
    clean: Tensor,  # [B, F, C, H, W]
    noise: Tensor,  # [B, predicted frames, C, H, W]
    text: Tensor,  # [B, G, N, width]
    timestep: Tensor,  # [B] int, in [0, 999]
    layout: Layout,
    schedule: NoiseSchedule,
    frames: Tensor,  # [B, N] int, frames of a clip
    *,
    weights: Mapping[str, float] = MappingProxyType({}),
) -> Tensor:
    """`v_loss` of a few frames in pixels, a scalar, for the head in pixels alone: the rest is as it is.

    The head sees every frame by itself, and those of a clip are much alike, so it learns faster from few of many clips.
    """
    head, precondition = transformer.pixel_head, transformer.precondition
    assert head is not None and precondition is not None
    given = given_mask(layout).to(clean.device)
    a = schedule.training_signal.to(clean)[timestep][:, None, None, None, None]
    sigma = (1.0 - a**2).sqrt()
    noisy, wanted = clean.clone(), torch.zeros_like(clean)
    noisy[:, ~given] = a * clean[:, ~given] + sigma * noise
    wanted[:, ~given] = a * noise - sigma * clean[:, ~given]
    with torch.no_grad():
        c_in, c_skip, c_out = precondition(noisy, timestep, given if layout.given else None, transformer.filled)
        entering = c_in * noisy
        tables = transformer.tables(
            clean.shape, text.shape, layer_index(layout).to(clean), given if layout.given else None
        )
        made, temb = transformer.made(entering, timestep.to(clean), text.flatten(1, 2), *tables)
        missing = (wanted - c_skip * noisy) / c_out - made.float()
        target = head.target(missing, transformer.filled, frames)
    error = head.pictures(made, entering, temb, transformer.filled, frames).float() - target.float()
    scale = (a * precondition.rms.mean()) ** 2 + sigma**2  # about what c_out makes of it
    every = frame_weights(layout, weights).to(clean) * ~given
    every = torch.unflatten(every, 0, (len(layout.layers), -1))[:, 0, None, None, None]
    loss: Tensor = (error.square() * every / scale[..., None]).mean()
    return loss


def frame_weights(layout: Layout, weights: Mapping[str, float]) -> Tensor:  # [F]
    """How much each latent frame counts, 1 on average over those that are predicted."""
    every = torch.ones(layout.num_latents)
    for name, weight in weights.items():
        if name in layout.layers:
            every[layout.span(name)] = weight
    return every / every[~given_mask(layout)].mean()
