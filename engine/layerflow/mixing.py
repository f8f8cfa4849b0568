"""What a small model is given beyond the release: a view of all layers, gates that copy between them, preconditioning.

Departures from LayerFlow, for the bundled model; a released checkpoint has none of them. Each works on a sequence of
all the model's layers, or of those alone that are `filled`: one foreground makes do without the weights of a second.

Shapes: B batch, F latent frame, C channel, H W latent rows and columns, T token, D model width, G layer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import torch
from einops import rearrange
from torch import Tensor, nn

Slots = tuple[int, ...]  # which of a model's layers a sequence holds, in their order


class LayerView(nn.Module):
    """Shows every token what all layers hold at its place and time, as a sum of embeddings of their patches.

    Without it a layer learns what the others show through attention alone, which a small model
    takes long to find. The whole is added to each layer's own tokens; which layer a token is, its position says.
    """

    def __init__(self, width: int, num_layers: int, channels: int, patch: int) -> None:
        super().__init__()
        self.num_layers = num_layers
        self.proj = nn.Conv2d(num_layers * channels, width, patch, patch, bias=False)

    def forward(self, latents_BFCHW: Tensor, filled: Slots | None = None) -> Tensor:  # -> [B, T, D]
        num_filled = len(filled or range(self.num_layers))
        beside = rearrange(latents_BFCHW, "b (g f) c h w -> (b f) (g c) h w", g=num_filled)
        if filled is None:
            rows = self.proj(beside)
        else:
            rows = nn.functional.conv2d(beside, self.weight_of(filled), stride=self.proj.stride)
        seen: Tensor = rearrange(rows, "(b f) d h w -> b f (h w) d", b=latents_BFCHW.shape[0])
        return seen.repeat(1, num_filled, 1, 1).flatten(1, 2)

    def weight_of(self, filled: Slots) -> Tensor:
        """The weights by which layers `filled` are seen, as of a view of these alone."""
        weight = rearrange(self.proj.weight, "d (g c) p q -> d g c p q", g=self.num_layers)
        return weight[:, list(filled)].flatten(1, 2)


class CopyGate(nn.Module):
    """Adds to each layer a gated mix of the input latents that all layers have at the same place and time.

    Layers are mostly copies of each other (background = blended outside the matte), and a small
    model spends most of its training on learning to copy through a narrow residual stream. The gates start at zero.
    """

    def __init__(self, width: int, num_layers: int, patch: int) -> None:
        super().__init__()
        self.num_layers, self.patch = num_layers, patch
        self.gates = nn.ModuleList(nn.Linear(width, num_layers * patch**2) for _ in range(num_layers))
        for parameter in self.gates.parameters():
            nn.init.zeros_(parameter)

    def forward(
        self, hidden_BFHWD: Tensor, latents_BFCHW: Tensor, filled: Slots | None = None
    ) -> Tensor:  # -> [B, F, C, H, W]
        num_filled = len(filled or range(self.num_layers))
        hidden = rearrange(hidden_BFHWD, "b (g f) h w d -> g b f h w d", g=num_filled)
        source = rearrange(latents_BFCHW, "b (s f) c h w -> b s f c h w", s=num_filled)
        weights = torch.stack(self._gated(hidden) if filled is None else self._gated_of(filled, hidden))
        weights = rearrange(
            weights, "g b f h w (s p q) -> b g s f (h p) (w q)", s=num_filled, p=self.patch, q=self.patch
        )
        mixed = torch.einsum("bgsfhw,bsfchw->bgfchw", weights, source)
        return rearrange(mixed, "b g f c h w -> b (g f) c h w")

    def _gated(self, hidden: Tensor) -> list[Tensor]:
        return [gate(h) for gate, h in zip(self.gates, hidden, strict=True)]

    def _gated_of(self, filled: Slots, hidden: Tensor) -> list[Tensor]:
        parts = [self.linear_of(layer, filled) for layer in filled]
        return [nn.functional.linear(h, *part) for part, h in zip(parts, hidden, strict=True)]

    def linear_of(self, layer: int, filled: Slots) -> tuple[Tensor, Tensor]:
        """Weight and bias of the gate of one layer where only the layers `filled` are there to copy."""
        gate: Any = self.gates[layer]
        copied = list(filled)
        weight = rearrange(gate.weight, "(s p) d -> s p d", s=self.num_layers)[copied].flatten(0, 1)
        bias = rearrange(gate.bias, "(s p) -> s p", s=self.num_layers)[copied].flatten(0, 1)
        return weight, bias


class LayerWords(nn.Module):
    """Adds to every token of a layer what the first two prompts say, the foreground's and the background's.

    Beside attention to single words: a small model takes long to find these. Each layer has a share of either prompt of
    its own, its own prompt to begin with; what a prompt says is the mean of its tokens. It begins by adding nothing.
    """

    def __init__(self, width: int, num_layers: int, prompt_tokens: int) -> None:
        super().__init__()
        self.prompt_tokens = prompt_tokens
        self.shares = nn.Parameter(torch.ones(num_layers, 2))
        self.proj = nn.Linear(width, width)
        for parameter in self.proj.parameters():
            nn.init.zeros_(parameter)

    def forward(self, text_BND: Tensor, filled: Slots | None = None) -> Tensor:  # -> [B, G, D]
        device = text_BND.device
        prompt_N = torch.arange(text_BND.shape[1], device=device) // self.prompt_tokens
        of_prompt = (prompt_N == torch.arange(2, device=device)[:, None]).to(text_BND) / self.prompt_tokens
        shares = self.shares if filled is None else self.shares[list(filled)]
        words: Tensor = shares.to(text_BND) @ self.proj(of_prompt @ text_BND)
        return words


class Preconditioner(nn.Module):
    """Scales what goes into the network and what comes out, per layer and channel (Karras et al. 2022, section 5).

    With latents of unit variance v-prediction needs none of this. Where a channel's variance is s^2, the best linear
    guess of v from x_t = a x_0 + sigma noise is a sigma (1 - s^2) / (a^2 s^2 + sigma^2) x_t; the network is left with
    what that guess misses, at unit variance. What goes in is the best linear guess of x_0 / s, and not x_t at unit
    variance as usual: pure noise then goes in as zeros, and cannot drown the layer that is known. Given latents count
    as noiseless. All of it is float32, whatever the type of the network's weights: c_skip x is most of v.
    """

    def __init__(self, num_layers: int, channels: int) -> None:
        super().__init__()
        self.register_buffer("rms", torch.ones(num_layers, channels))  # s
        self.register_buffer("signal", torch.ones(1000))  # a, by timestep
        self.rms: Tensor
        self.signal: Tensor

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Follows the network to its device; its own numbers stay as they are when the network's are cast."""
        applied: Self = super()._apply(lambda own: own.to(fn(own).device), recurse)  # type: ignore[no-untyped-call]
        return applied

    def forward(
        self, latents_BFCHW: Tensor, timestep: Tensor, given: Tensor | None, filled: Slots | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:  # each [B, F, C, 1, 1]
        """c_in, c_skip and c_out, so that v = c_skip x + c_out network(c_in x)."""
        frames = latents_BFCHW.shape[1]
        a = self.signal[timestep.long()][:, None].expand(-1, frames)
        if given is not None:
            a = torch.where(given, torch.ones_like(a), a)
        a = a[..., None, None, None]
        rms = self.rms if filled is None else self.rms[list(filled)]
        s = rms.repeat_interleave(frames // len(rms), dim=0)[None, :, :, None, None]
        sigma_squared = 1.0 - a**2
        variance = (a * s) ** 2 + sigma_squared
        c_skip = a * sigma_squared.sqrt() * (1.0 - s**2) / variance
        return a * s / variance, c_skip, s * variance.rsqrt()
