"""The clips of a supply composed where the training runs, so that a fast GPU does not wait for the CPU.

Shapes: N cached clip, B clip of a batch, G layer, F frame, H W rows and columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from layerflow.training.clips import linear_table
from layerflow.training.supply import Captions, Drawn, Supply


class DeviceSupply:
    """The caches of `supply` on `device`, laid over each other there; the same clips for the same draws."""

    def __init__(self, supply: Supply, device: torch.device) -> None:
        self.supply, self.device = supply, device
        self.linear = torch.from_numpy(linear_table()).to(device)
        caches = (supply.foregrounds, supply.backgrounds, supply.guides)
        self.foregrounds, self.backgrounds, self.guides = (torch.from_numpy(cache).to(device) for cache in caches)

    @property
    def step(self) -> int:
        """How often it was advanced."""
        return self.supply.step

    def advance(self) -> None:
        """As `Supply.advance`; what was drawn anew goes to the device."""
        places = self.supply.advance()
        for cache, drawn in (
            (self.foregrounds, self.supply.foregrounds),
            (self.backgrounds, self.supply.backgrounds),
            (self.guides, self.supply.guides),
        ):
            cache[places] = torch.from_numpy(drawn[places]).to(self.device)

    def batch(
        self, rng: np.random.Generator, size: int, layers: Sequence[str], *, framed: bool = False
    ) -> tuple[Tensor, list[Captions]]:
        """Clips `[B, G, F, H, W, 3]` in [-1, 1] of these layers on the device, and their captions."""
        drawn = self.supply.draw(rng, size, num_foregrounds=1 + ("foreground2" in layers), framed=framed)
        made = self._pictures(drawn)
        return torch.stack([made[name] for name in layers], dim=1), list(drawn.captions)

    def _pictures(self, drawn: Drawn) -> dict[str, Tensor]:
        times = torch.from_numpy(drawn.times)
        behind = self.backgrounds[torch.from_numpy(drawn.behind)[:, None], times]
        light, made = self.linear[behind.int()], {"background": _signed(behind)}
        for number, row in reversed(list(enumerate(drawn.fronts, start=1))):
            suffix = "" if number == 1 else str(number)
            front = self.foregrounds[torch.from_numpy(row)[:, None], times]
            color, alpha = front[..., :3], front[..., 3:].float() / 255.0
            light = light + alpha * (self.linear[color.int()] - light)
            made["foreground" + suffix] = _signed(color) * alpha
            made["alpha" + suffix] = _signed(front[..., 3:]).expand_as(light)
        guide = self.guides[torch.from_numpy(drawn.fronts[0])[:, None], times]
        made["guide"] = _signed(guide[..., None]).expand_as(light)
        return made | {"blended": 2.0 * encode_srgb(light) - 1.0}


def _signed(codes: Tensor) -> Tensor:
    return codes.float() / 127.5 - 1.0


def encode_srgb(linear: Tensor) -> Tensor:
    """sRGB codes in [0, 1] of scene-linear light in [0, 1]. IEC 61966-2-1."""
    return torch.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear.clamp(min=1e-6) ** (1 / 2.4) - 0.055)
