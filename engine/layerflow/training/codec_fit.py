"""The linear codec's basis: principal components of 4 x 8 x 8 x 3 blocks over all layers of layered clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from safetensors.torch import save_file
from torch import Tensor

from layerflow.codec import LinearCodec
from layerflow.training.clips import LAYERS, LayeredClips
from layerflow.training.render import Floats

BLOCK = 4 * 8 * 8 * 3


def fit_codec(
    clips: LayeredClips, rng: np.random.Generator, *, num_channels: int = 96, num_batches: int = 64
) -> dict[str, Tensor]:
    """`basis` [num_channels, 768], `mean` [768] and `scale` [num_channels] of a `LinearCodec`, float32.

    `scale` is std^-0.5, half way to whitening, times one number that makes the latents' mean square 1.
    """
    total, products, count = np.zeros(BLOCK), np.zeros((BLOCK, BLOCK)), 0
    for _ in range(num_batches):
        blocks = to_blocks(clips.batch(rng, 16)[0])
        total += blocks.sum(axis=0, dtype=np.float64)
        products += blocks.T @ blocks
        count += len(blocks)
    mean = total / count
    variances, vectors = np.linalg.eigh(products / count - np.outer(mean, mean))
    variances, vectors = variances[::-1][:num_channels], vectors[:, ::-1][:, :num_channels]
    scale = variances**-0.25 / np.sqrt(np.mean(np.sqrt(variances)))
    arrays = {"basis": _signed(vectors.T), "mean": mean, "scale": scale}
    return {name: torch.from_numpy(np.ascontiguousarray(array, np.float32)) for name, array in arrays.items()}


def to_blocks(clips: Floats) -> Floats:
    """Blocks [B, 768] in the order (t, h, w, c) of clips [N, L, F, H, W, 3]."""
    return rearrange(clips, "n l (f t) (h p) (w q) c -> (n l f h w) (t p q c)", t=4, p=8, q=8)


def make_codec(tensors: dict[str, Tensor]) -> LinearCodec:
    """A `LinearCodec` with fitted tensors."""
    codec = LinearCodec(len(tensors["scale"]))
    codec.load_state_dict(tensors)
    return codec


def save_codec(tensors: dict[str, Tensor], path: Path) -> None:
    """Write the fitted tensors as safetensors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)


@torch.inference_mode()
def codec_psnr(codec: LinearCodec, clips: Floats) -> dict[str, float]:
    """PSNR in dB by layer, mean over clips [N, L, F, H, W, 3], of pictures through the codec, clipped."""
    pixels = rearrange(torch.from_numpy(clips), "n l f h w c -> n l f c h w")
    error = (codec.to_pixels(codec.to_latents(pixels)).clamp(-1, 1) - pixels).square().mean(dim=(2, 3, 4, 5))
    psnr = (10 * torch.log10(4 / error.clamp_min(1e-10))).mean(dim=0)
    return dict(zip(LAYERS, psnr.tolist(), strict=True))


def _signed(basis: Floats) -> Floats:
    # An eigenvector's sign is arbitrary; make the largest entry positive, so that a refit gives the same basis.
    largest = np.take_along_axis(basis, np.abs(basis).argmax(axis=1)[:, None], axis=1)
    signed: Floats = basis * np.sign(largest)
    return signed
