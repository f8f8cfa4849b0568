"""What a small model adds in pixels to what its transformer made of 16-pixel tokens: a U-Net over all layers at once.

A departure from LayerFlow, for a model with the linear codec: that is an orthonormal basis, so pixels are a matrix away
and back. Outlines follow the plate's own edges here, which hardly a small transformer learns to spell out token by
token, and layers are copied from each other pixel by pixel, where `CopyGate` copies whole latents (RefineNet's place in
Background Matting V2, Lin et al. 2021, with the U-Net of Ronneberger et al. 2015).

Shapes: B batch, F latent frame, C latent channel, H W latent rows and columns, G layer, N picture: one layer stack of
one frame, P channel of a picture: 2 x 2 pixels of RGB, D channel of the U-Net.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear, silu

from layerflow.codec import LinearCodec
from layerflow.mixing import Slots

SIDE = 2  # pixels of a block that is one place of the U-Net
PICTURE = SIDE**2 * 3
BLOCK = "(t i p j q c)"  # the codec's pixels of a latent: frames, rows in blocks, columns in blocks, RGB
SIDES = {
    "t": LinearCodec.temporal,
    "i": LinearCodec.spatial // SIDE,
    "j": LinearCodec.spatial // SIDE,
    "p": SIDE,
    "q": SIDE,
}


class PixelHead(nn.Module):
    """Adds to what a network made of each layer what a U-Net sees to be missing. It begins by adding nothing."""

    def __init__(self, num_layers: int, channels: int, time_width: int, widths: Sequence[int]) -> None:
        """`widths` are the U-Net's channels at a half, a quarter, ... of the picture's size."""
        super().__init__()
        self.num_layers = num_layers
        block = LinearCodec.temporal * LinearCodec.spatial**2 * 3
        self.register_buffer("decode", torch.zeros(block, channels))  # latents to pixels
        self.register_buffer("encode", torch.zeros(channels, block))
        self.register_buffer("rms", torch.ones(num_layers, channels))  # of the latents, by layer
        self.decode: Tensor
        self.encode: Tensor
        self.rms: Tensor
        self.into = nn.Conv2d(2 * num_layers * PICTURE, widths[0], 1)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, 2) for a, b in pairwise(widths))
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, 2) for a, b in pairwise(widths))
        self.before = nn.ModuleList(Residual(width, time_width) for width in widths)
        self.after = nn.ModuleList(Residual(width, time_width) for width in widths[:-1])
        self.added = nn.Conv2d(widths[0], num_layers * PICTURE, 1)
        self.gates = nn.Conv2d(widths[0], num_layers * (num_layers + 1) * SIDE**2, 1)
        for parameter in (*self.added.parameters(), *self.gates.parameters()):
            nn.init.zeros_(parameter)

    @torch.no_grad()
    def take_codec(self, codec: LinearCodec, rms: Tensor) -> None:
        """Learns how latents become pixels, and `[G, C]` how large those of each layer are, as in `Preconditioner`."""
        self.decode.copy_((codec.basis / codec.scale[:, None]).T)
        self.encode.copy_(codec.basis * codec.scale[:, None])
        self.rms.copy_(rms)

    def forward(
        self, made_BFCHW: Tensor, latents_BFCHW: Tensor, temb: Tensor, filled: Slots | None = None
    ) -> Tensor:  # -> [B, F, C, H, W]
        """What is to be added to `made`, in the same units: of latents at unit variance.

        `made` is the whole sequence that comes out of a network and `latents` what went in; `temb` `[B, time width]` is
        the embedding of the timestep.
        """
        rms = self._rms(filled)
        pictures = self.pictures(made_BFCHW, latents_BFCHW, temb, filled)
        return _latents(pictures, rms, self.encode)

    def pictures(
        self,
        made_BFCHW: Tensor,
        latents_BFCHW: Tensor,
        temb: Tensor,
        filled: Slots | None = None,
        frames_BN: Tensor | None = None,
    ) -> Tensor:  # -> [B, n, G, P, h, w]
        """What is to be added, in pixels times what `forward` has at unit variance; of some frames alone where asked.

        No frame is looked at in another, so one is as good as all to learn from.
        """
        num_layers, rms = len(filled or range(self.num_layers)), self._rms(filled)
        shown = picked(as_pictures(latents_BFCHW, rms, self.decode), frames_BN)
        made = picked(as_pictures(made_BFCHW, rms, self.decode), frames_BN)
        seen = torch.cat([shown, made], dim=3).flatten(0, 1).flatten(1, 2)
        hidden = self.into(seen) if filled is None else conv2d(seen, self._into(filled), self.into.bias)
        hidden = self._unet(hidden, temb)
        added = self.added(hidden) if filled is None else conv2d(hidden, *self._added(filled))
        gates = self.gates(hidden) if filled is None else conv2d(hidden, *self._gates(filled))
        added = rearrange(added, "n (g p) h w -> n g p h w", g=num_layers)
        copied = _copied(gates, shown.flatten(0, 1), made.flatten(0, 1))
        pictures: Tensor = rearrange(added + copied, "(b n) g p h w -> b n g p h w", b=made_BFCHW.shape[0])
        return pictures

    def target(self, missing_BFCHW: Tensor, filled: Slots | None = None, frames_BN: Tensor | None = None) -> Tensor:
        """What `pictures` should give where `missing` is what should be added."""
        return picked(as_pictures(missing_BFCHW, self._rms(filled), self.decode), frames_BN)

    def _rms(self, filled: Slots | None) -> Tensor:  # [G, 1, 1, 1, C]
        own = self.rms if filled is None else self.rms[list(filled)]
        return own[:, None, None, None]

    def _unet(self, hidden: Tensor, temb: Tensor) -> Tensor:  # [N, D, h, w]
        kept = []
        for block, down in zip(self.before, self.down, strict=False):
            hidden = block(hidden, temb)
            kept.append(hidden)
            hidden = down(hidden)
        hidden = self.before[-1](hidden, temb)
        for block, up in reversed(list(zip(self.after, self.up, strict=True))):
            hidden = block(up(hidden) + kept.pop(), temb)
        return hidden

    def _into(self, slots: Slots) -> Tensor:
        weight = rearrange(self.into.weight, "d (g p) y x -> d g p y x", g=self.num_layers)
        own: Tensor = weight[:, list(slots)].flatten(1, 2)
        return own

    def _added(self, slots: Slots) -> tuple[Tensor, Tensor]:
        whole: Any = self.added
        weights = rearrange(whole.weight, "(g p) d y x -> g p d y x", g=self.num_layers)
        biases = rearrange(whole.bias, "(g p) -> g p", g=self.num_layers)
        return weights[list(slots)].flatten(0, 1), biases[list(slots)].flatten(0, 1)

    def _gates(self, slots: Slots) -> tuple[Tensor, Tensor]:
        both = {"g": self.num_layers, "s": self.num_layers + 1}
        whole: Any = self.gates
        weights = rearrange(whole.weight, "(g s p) d y x -> g s p d y x", **both)
        biases = rearrange(whole.bias, "(g s p) -> g s p", **both)
        own, sources = list(slots), [*slots, self.num_layers]
        return weights[own][:, sources].flatten(0, 2), biases[own][:, sources].flatten(0, 2)

    def of_slots(self, slots: Slots) -> dict[str, Tensor]:
        """The weights of a head of these layers alone, with the same results; those that are of no layer are shared."""
        added, gates = self._added(slots), self._gates(slots)
        return {
            **self.state_dict(),
            "rms": self.rms[list(slots)],
            "into.weight": self._into(slots),
            **{"added.weight": added[0], "added.bias": added[1]},
            **{"gates.weight": gates[0], "gates.bias": gates[1]},
        }


class Residual(nn.Module):
    """Two convolutions beside the way on; the timestep shifts what is between them."""

    def __init__(self, width: int, time_width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.shift = nn.Linear(time_width, width)

    def forward(self, pictures: Tensor, temb: Tensor) -> Tensor:  # [N, D, h, w], [B, time width]
        hidden = self.first(silu(pictures))
        shift = self.shift(silu(temb))[:, None, :, None, None]
        hidden = (hidden.unflatten(0, (temb.shape[0], -1)) + shift).flatten(0, 1)
        added: Tensor = self.second(silu(hidden))
        return pictures + added


def as_pictures(latents_BFCHW: Tensor, rms_G111C: Tensor, decode: Tensor) -> Tensor:  # -> [B, n, G, P, h, w]
    """Every pixel of every layer, `n` frames."""
    rows = rearrange(latents_BFCHW, "b (g f) c h w -> b g f h w c", g=len(rms_G111C))
    blocks = linear((rows * rms_G111C).contiguous(), decode)  # or it is multiplied in small pieces
    return rearrange(blocks, f"b g f h w {BLOCK} -> b (f t) g (p q c) (h i) (w j)", **SIDES)


def picked(pictures_BnGPhw: Tensor, frames_BN: Tensor | None) -> Tensor:
    """These frames of each clip of a batch, or all."""
    if frames_BN is None:
        return pictures_BnGPhw
    return pictures_BnGPhw[torch.arange(len(frames_BN))[:, None], frames_BN]


def _latents(pictures_BnGPhw: Tensor, rms_G111C: Tensor, encode: Tensor) -> Tensor:  # -> [B, F, C, H, W]
    """The reverse of `as_pictures`."""
    blocks = rearrange(pictures_BnGPhw, f"b (f t) g (p q c) (h i) (w j) -> b g f h w {BLOCK}", **SIDES)
    rows = linear(blocks.contiguous(), encode) / rms_G111C
    return rearrange(rows, "b g f h w c -> b (g f) c h w")


def _copied(gates: Tensor, shown: Tensor, made: Tensor) -> Tensor:  # [N, G (G + 1) 4, h, w], [N, G, P, h, w] twice
    """For each layer, `[N, G, P, h, w]`: all that is shown and what was made of itself, each by its gate."""
    num_layers = shown.shape[1]
    weights = rearrange(gates, "n (g s p) h w -> n g s p 1 h w", g=num_layers, s=num_layers + 1)
    pixels = rearrange(shown, "n s (p c) h w -> n s p c h w", c=3)
    mixed = weights[:, :, -1] * rearrange(made, "n g (p c) h w -> n g p c h w", c=3)
    for source in range(num_layers):
        mixed = mixed + weights[:, :, source] * pixels[:, None, source]
    return mixed.flatten(2, 3)
