"""Layered clips composed where the training runs, so that a fast GPU does not wait for the CPU.

Shapes: N cached clip, B clip of a batch, G layer, F frame, H W rows and columns.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from layerflow.training.clips import Captions, LayeredClips, linear_table


class DeviceClips:
    """The caches of `clips` on `device`, paired and laid over each other there; the same clips for the same draws."""

    def __init__(self, clips: LayeredClips, device: torch.device) -> None:
        self.clips = clips
        self.foregrounds = torch.from_numpy(clips.foregrounds).to(device)  # [N, F, H, W, 4] straight, 8-bit sRGB
        self.backgrounds = torch.from_numpy(clips.backgrounds).to(device)  # [N, F, H, W, 3]
        self.linear = torch.from_numpy(linear_table()).to(device)

    def batch(self, rng: np.random.Generator, size: int) -> tuple[Tensor, list[Captions]]:
        """Clips `[B, G, F, H, W, 3]` in [-1, 1] on the device, layers in the order of `layout.LAYERS`; captions."""
        pairs = self.clips.draw(rng, size)
        times = torch.from_numpy(pairs.times)
        foreground = self.foregrounds[torch.from_numpy(pairs.front)[:, None], times]
        background = self.backgrounds[torch.from_numpy(pairs.behind)[:, None], times]
        color, alpha = foreground[..., :3], foreground[..., 3:].float() / 255.0
        behind = self.linear[background.int()]
        blended = encode_srgb(behind + alpha * (self.linear[color.int()] - behind))
        grey = (color.float() / 127.5 - 1.0) * alpha
        flat = background.float() / 127.5 - 1.0
        matte = (2.0 * alpha - 1.0).expand_as(flat)
        return torch.stack([grey, matte, flat, 2.0 * blended - 1.0], dim=1), list(pairs.captions)


def encode_srgb(linear: Tensor) -> Tensor:
    """sRGB codes in [0, 1] of scene-linear light in [0, 1]. IEC 61966-2-1."""
    return torch.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear.clamp(min=1e-6) ** (1 / 2.4) - 0.055)
