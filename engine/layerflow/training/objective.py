"""The training loss: v-prediction on noised layers, the given ones neither noised nor scored.

Equal to the released objective, (denoised - x_0)^2 / (1 - a^2) averaged over everything, since
denoised - x_0 = -sqrt(1 - a^2) (v_predicted - v).

Shapes: B batch, F latent frame of the whole sequence, C channel, H W latent rows and columns, G prompt, N token.
"""

from __future__ import annotations

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
) -> Tensor:
    """Mean squared error of v over the predicted latents, a scalar."""
    given = given_mask(layout).to(clean.device)
    a = schedule.training_signal.to(clean)[timestep][:, None, None, None, None]
    sigma = (1.0 - a**2).sqrt()
    target = clean[:, ~given]
    noisy = clean.clone()
    noisy[:, ~given] = a * target + sigma * noise
    v = transformer(noisy, timestep.to(clean), text, layer_index(layout).to(clean), given if layout.given else None)
    error = v[:, ~given].float() - (a * noise - sigma * target)
    loss: Tensor = error.square().mean()
    return loss
