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
from torch.nn.functional import conv2d, silu

from layerflow.codec import LinearCodec
from layerflow.mixing import Slots

FIXED = ("decode.", "encode.", "rms")  # of the head's weights: the codec's, which are never trained
SIDE = 2  # pixels of a block that is one place of the U-Net
PICTURE = SIDE**2 * 3
TILE = {"i": LinearCodec.spatial // SIDE, "j": LinearCodec.spatial // SIDE}  # places of the U-Net in a latent


class PixelHead(nn.Module):
    """Adds to what a network made of each layer what a U-Net sees to be missing. It begins by adding nothing."""

    def __init__(self, num_layers: int, channels: int, time_width: int, widths: Sequence[int]) -> None:
        """`widths` are the U-Net's channels at a half, a quarter, ... of the picture's size."""
        super().__init__()
        self.num_layers = num_layers
        block = LinearCodec.temporal * LinearCodec.spatial**2 * 3
        self.decode = nn.Linear(channels, block, bias=False)  # latents to pixels
        self.encode = nn.Linear(block, channels, bias=False)
        self.rms = nn.Parameter(torch.ones(num_layers, 1, 1, 1, channels))  # of the latents, by layer
        self.into = nn.Conv2d(2 * num_layers * PICTURE, widths[0], 1)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, 2) for a, b in pairwise(widths))
        self.up = nn.ModuleList(nn.Conv2d(b, a * 4, 1) for a, b in pairwise(widths))  # four pixels of each
        self.before = nn.ModuleList(Residual(width, time_width) for width in widths)
        self.after = nn.ModuleList(Residual(width, time_width) for width in widths[:-1])
        self.added = nn.Conv2d(widths[0], num_layers * PICTURE, 1)
        self.gates = nn.Conv2d(widths[0], num_layers * (num_layers + 1) * SIDE**2, 1)
        for parameter in (*self.added.parameters(), *self.gates.parameters()):
            nn.init.zeros_(parameter)
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(not name.startswith(FIXED))

    @torch.no_grad()
    def take_codec(self, codec: LinearCodec, rms: Tensor) -> None:
        """Learns how latents become pixels, and `[G, C]` how large those of each layer are, as in `Preconditioner`."""
        basis = rearrange(codec.basis, "l (t i p j q c) -> l (t p q c i j)", p=SIDE, q=SIDE, c=3, **TILE)
        self.decode.weight.copy_((basis / codec.scale[:, None]).T)
        self.encode.weight.copy_(basis * codec.scale[:, None])
        self.rms.copy_(rms[:, None, None, None])

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
        # In one go, since an exporter writes a weight anew for each use of it.
        both = as_pictures(torch.cat([latents_BFCHW, made_BFCHW]), rms, self.decode)
        shown, made = (picked(half, frames_BN) for half in rearrange(both, "(k b) n g p h w -> k b n g p h w", k=2))
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
        return self.rms if filled is None else self.rms[list(filled)]

    def _unet(self, hidden: Tensor, temb: Tensor) -> Tensor:  # [N, D, h, w]
        kept = []
        for block, down in zip(self.before, self.down, strict=False):
            hidden = block(hidden, temb)
            kept.append(hidden)
            hidden = down(hidden)
        hidden = self.before[-1](hidden, temb)
        for block, up in reversed(list(zip(self.after, self.up, strict=True))):
            finer = rearrange(up(hidden), "n (d p q) h w -> n d (h p) (w q)", p=2, q=2)
            hidden = block(finer + kept.pop(), temb)
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


def is_fixed(name: str) -> bool:
    """Whether the weight of that name, of a network with a head, is the codec's and never trained."""
    return name.startswith(tuple(f"pixel_head.{part}" for part in FIXED))


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


def as_pictures(latents_BFCHW: Tensor, rms_G111C: Tensor, decode: nn.Linear) -> Tensor:  # -> [B, n, G, P, h, w]
    """Every pixel of every layer, `n` frames. In two steps, since TensorRT knows no more than eight axes."""
    batch, num_layers = latents_BFCHW.shape[0], rms_G111C.shape[0]  # `len` of a tensor would be one number for ever
    rows = rearrange(latents_BFCHW, "b (g f) c h w -> b g f h w c", g=num_layers)
    blocks: Tensor = decode((rows * rms_G111C).contiguous())  # or it is multiplied in small pieces
    tiles = rearrange(blocks, "b g f h w (p i j) -> (b g f) p (h i) (w j)", **TILE)
    pictures: Tensor = rearrange(
        tiles, "(b g f) (t p) h w -> b (f t) g p h w", b=batch, g=num_layers, t=LinearCodec.temporal
    )
    return pictures


def picked(pictures_BnGPhw: Tensor, frames_BN: Tensor | None) -> Tensor:
    """These frames of each clip of a batch, or all."""
    if frames_BN is None:
        return pictures_BnGPhw
    return pictures_BnGPhw[torch.arange(len(frames_BN))[:, None], frames_BN]


def _latents(pictures_BnGPhw: Tensor, rms_G111C: Tensor, encode: nn.Linear) -> Tensor:  # -> [B, F, C, H, W]
    """The reverse of `as_pictures`."""
    batch, num_layers = pictures_BnGPhw.shape[0], rms_G111C.shape[0]
    tiles = rearrange(pictures_BnGPhw, "b (f t) g p h w -> (b g f) (t p) h w", t=LinearCodec.temporal)
    blocks = rearrange(tiles, "(b g f) p (h i) (w j) -> b g f h w (p i j)", b=batch, g=num_layers, **TILE)
    rows = encode(blocks.contiguous()) / rms_G111C
    latents: Tensor = rearrange(rows, "b g f h w c -> b (g f) c h w")
    return latents


def _copied(gates: Tensor, shown: Tensor, made: Tensor) -> Tensor:  # [N, G (G + 1) 4, h, w], [N, G, P, h, w] twice
    """For each layer, `[N, G, P, h, w]`: all that is shown and what was made of itself, each by its gate."""
    num_layers = shown.shape[1]
    weights = rearrange(gates, "n (g s p) h w -> n g s p 1 h w", g=num_layers, s=num_layers + 1)
    pixels = rearrange(shown, "n s (p c) h w -> n s p c h w", c=3)
    mixed = weights[:, :, -1] * rearrange(made, "n g (p c) h w -> n g p c h w", c=3)
    for source in range(num_layers):
        mixed = mixed + weights[:, :, source] * pixels[:, None, source]
    return mixed.flatten(2, 3)
