"""Between pixels and latents, for the clips of all layers laid one after another.

Shapes: F frame, f latent frame, C latent channel, H W pixel rows and columns, h w latent ones. Pixels are RGB in
[-1, 1], display-referred; latents leave `encode` scaled to about unit variance, and `stream` takes them so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import torch
from diffusers import AutoencoderKLCogVideoX
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from einops import rearrange
from torch import Tensor, nn

from layerflow.layout import Layout
from layerflow.residence import visiting

Tile = tuple[slice, slice]  # latent rows and columns


class Codec(Protocol):
    """Pixels to latents and back."""

    latent_channels: int
    spatial: int  # pixels per latent column and row
    temporal: int  # frames per latent frame

    def encode(self, pixels: Tensor, generator: torch.Generator | None) -> Tensor:
        """Latents `[f, C, h, w]` of pixels `[F, 3, H, W]`; a codec that samples draws from `generator` (CPU).

        Without one it gives the mean of what it would draw.
        """
        ...

    def stream(self, latents: Tensor) -> Iterator[Tensor]:
        """Pixels `[n, 3, H, W]` of latents `[f, C, h, w]`, in order, a few frames at a time where memory is small."""
        ...


class VideoVAE:
    """CogVideoX's causal video VAE. One pass over the whole clip as released, or streamed in little memory.

    The causal convolutions and the group norms of a whole-clip pass run across layer borders. Streaming keeps the
    convolutions' memory from batch to batch, but its norms see one batch (and one tile) only, so its pixels differ.
    """

    temporal = 4

    def __init__(
        self,
        vae: AutoencoderKLCogVideoX,
        *,
        streaming: bool = False,
        tile: int | None = None,
        device: torch.device | None = None,
    ) -> None:
        """`tile` is the side of a tile in pixels (streaming only); None decodes full pictures.

        On `device` it works and between its uses it is where it was given; None: it works there too.
        """
        self.vae = vae.eval()
        self.device = device or vae.device
        self.streaming = streaming
        self.tile = tile if streaming else None
        self.latent_channels: int = vae.config.latent_channels
        self.scale: float = vae.config.scaling_factor
        self.spatial = 2 ** (len(vae.config.block_out_channels) - 1)

    @torch.inference_mode()
    def posterior(self, pixels: Tensor) -> tuple[Tensor, Tensor]:  # [F, 3, H, W] -> [1, C, f, h, w] twice
        """Mean and standard deviation of the latents, unscaled, in the VAE's own axis order."""
        clip = rearrange(pixels, "f c h w -> 1 c f h w").to(self.vae.dtype)

        def encode(tile: Tile) -> Tensor:
            return torch.cat(list(self._encode(clip[..., *_scaled(tile, self.spatial)])))

        with visiting(self.vae, self.device):
            moments = _joined(self._tiles([side // self.spatial for side in clip.shape[-2:]]), encode)
        posterior = DiagonalGaussianDistribution(rearrange(moments, "f c h w -> 1 c f h w").to(self.vae.dtype))
        return posterior.mean.float(), posterior.std.float()

    def encode(self, pixels: Tensor, generator: torch.Generator | None) -> Tensor:
        """A draw from the posterior, as released, or without a generator its mean; times the scaling factor."""
        mean, std = self.posterior(pixels)
        if generator is None:
            return self.scaled(mean)
        noise = torch.randn(mean.shape, generator=generator).to(mean)
        return self.scaled(mean + std * noise)

    def scaled(self, sample: Tensor) -> Tensor:  # [1, C, f, h, w] -> [f, C, h, w]
        """Latents for the transformer from a posterior sample."""
        return rearrange(sample * self.scale, "1 c f h w -> f c h w")

    @torch.inference_mode()
    def stream(self, latents: Tensor) -> Iterator[Tensor]:
        """In tiles it comes in one piece: the memory of all tiles' convolutions takes more room than the pixels."""
        clip = rearrange(latents / self.scale, "f c h w -> 1 c f h w").to(self.vae.dtype)
        tiles = self._tiles(clip.shape[-2:])

        def decode(tile: Tile) -> Tensor:
            return torch.cat(list(self._decode(clip[..., *tile])))

        with visiting(self.vae, self.device):
            if len(tiles) == 1:
                yield from self._decode(clip)
            else:
                yield _joined(tiles, decode, self.spatial)

    def _encode(self, clip: Tensor) -> Iterator[Tensor]:  # [1, 3, F, H, W] -> [n, 2 C, h, w] float32 on the CPU
        return self._run(self.vae.encoder, clip, 2 * self.temporal)

    def _decode(self, clip: Tensor) -> Iterator[Tensor]:  # [1, C, f, h, w] -> [n, 3, H, W] float32 on the CPU
        return self._run(self.vae.decoder, clip, 2)

    def _run(self, network: nn.Module, clip: Tensor, batch: int) -> Iterator[Tensor]:
        memory: Any = None  # the convolutions remember the frames before
        for start, stop in self._batches(clip.shape[2], batch):
            made, memory = network(clip[:, :, start:stop].to(self.device), conv_cache=memory)
            yield rearrange(made, "1 c f h w -> f c h w").float().cpu()

    def _batches(self, num_frames: int, size: int) -> Iterator[tuple[int, int]]:
        """`size` frames at a time when streaming; what is left over goes into the first batch."""
        size = size if self.streaming else num_frames
        stop = size + num_frames % size if num_frames > size else num_frames
        yield 0, stop
        while stop < num_frames:
            yield stop, stop + size
            stop += size

    def _tiles(self, shape: Sequence[int]) -> list[Tile]:
        side = self.tile // self.spatial if self.tile else max(shape)
        overlap = max(1, side // 4)
        columns = _spans(shape[1], side, overlap)
        return [(down, across) for down in _spans(shape[0], side, overlap) for across in columns]


class LinearCodec(nn.Module):
    """An orthonormal basis for blocks of 4 frames by 8 by 8 pixels, fitted by principal components.

    A stand-in for a VAE that a small CPU can afford: it has no memory across layers or blocks, draws nothing, and is
    exact within its subspace. Channels are scaled towards unit variance.
    """

    temporal = 4
    spatial = 8

    def __init__(self, latent_channels: int = 96) -> None:
        super().__init__()
        self.latent_channels = latent_channels
        block = self.temporal * self.spatial**2 * 3
        self.register_buffer("basis", torch.zeros(latent_channels, block))  # rows: components; columns: (t, h, w, rgb)
        self.register_buffer("mean", torch.zeros(block))
        self.register_buffer("scale", torch.ones(latent_channels))
        self.basis: Tensor
        self.mean: Tensor
        self.scale: Tensor

    @torch.inference_mode()
    def encode(self, pixels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.to_latents(pixels.to(self.mean))

    def to_latents(self, pixels: Tensor) -> Tensor:  # [..., F, 3, H, W] -> [..., f, C, h, w]
        """Latents of pixels, for batches of any shape."""
        blocks = rearrange(
            pixels,
            "... (f t) c (h p) (w q) -> ... f h w (t p q c)",
            t=self.temporal,
            p=self.spatial,
            q=self.spatial,
        )
        return rearrange(((blocks - self.mean) @ self.basis.T) * self.scale, "... f h w c -> ... f c h w")

    def to_pixels(self, latents: Tensor) -> Tensor:  # [..., f, C, h, w] -> [..., F, 3, H, W]
        """Pixels of latents, for batches of any shape."""
        blocks = (rearrange(latents, "... f c h w -> ... f h w c") / self.scale) @ self.basis + self.mean
        return rearrange(
            blocks,
            "... f h w (t p q c) -> ... (f t) c (h p) (w q)",
            t=self.temporal,
            p=self.spatial,
            q=self.spatial,
        )

    @torch.inference_mode()
    def stream(self, latents: Tensor) -> Iterator[Tensor]:
        yield self.to_pixels(latents.to(self.mean))


def decode_layers(codec: Codec, latents: Tensor, layout: Layout) -> Iterator[tuple[str, Tensor]]:
    """Each layer's name and pixels `[F, 3, H, W]` in [-1, 1], as soon as its last frame is decoded.

    Lead frames are dropped. Raises ValueError when the codec gives fewer frames than the layout has, and
    FloatingPointError for pixels that are not finite.
    """
    waiting = torch.empty(0)
    to_drop = layout.lead_frames
    remaining = list(layout.layers)
    for pixels in codec.stream(latents):
        if not pixels.isfinite().all():  # here, since the clamp below would make plain white of an overflow
            raise FloatingPointError("the decoded pixels are not finite")
        waiting = torch.cat([waiting, pixels.cpu()]) if waiting.numel() else pixels.cpu()
        if to_drop and len(waiting) > to_drop:
            waiting, to_drop = waiting[to_drop:], 0
        while remaining and len(waiting) >= layout.num_frames:
            yield remaining.pop(0), waiting[: layout.num_frames].clamp(-1.0, 1.0)
            waiting = waiting[layout.num_frames :]
    if remaining:
        raise ValueError(f"the codec gave too few frames: {remaining} are missing for {layout}")


def _spans(length: int, side: int, overlap: int) -> list[slice]:
    """Windows of `side` that cover `length`, neighbours sharing at least `overlap`, the last one flush with the end."""
    starts = list(range(0, max(length - overlap, 1), side - overlap)) if side < length else [0]
    return [slice(max(0, min(start, length - side)), min(length, max(start, 0) + side)) for start in starts]


def _joined(tiles: Sequence[Tile], work: Callable[[Tile], Tensor], scale: int = 1) -> Tensor:
    """What `work` makes of overlapping tiles, `[F, C, H, W]` each, weighted by distance from the tile's edge.

    It makes `scale` rows and columns of each latent one.
    """
    if len(tiles) == 1:
        return work(tiles[0])
    sides = [scale * max(span.stop for span in spans) for spans in zip(*tiles, strict=True)]
    whole, weights = torch.empty(0), torch.zeros(sides)
    for tile in tiles:
        part = work(tile)
        if not whole.numel():
            whole = part.new_zeros(*part.shape[:2], *sides)
        place, weight = _scaled(tile, scale), _ramp(part.shape[-2])[:, None] * _ramp(part.shape[-1])
        whole[..., *place] += part * weight
        weights[place] += weight
    return whole / weights


def _scaled(tile: Tile, scale: int) -> Tile:
    rows, columns = (slice(span.start * scale, span.stop * scale) for span in tile)
    return rows, columns


def _ramp(length: int) -> Tensor:
    position = torch.arange(length) + 0.5
    return torch.minimum(position, length - position)
