"""How much memory a shot takes under a plan. Estimates: the constants were measured, see docs/memory.md."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from layerflow.models.folder import ModelFolder
from layerflow.models.plans import Plan
from layerflow.models.t5 import pick_text_precision
from layerflow.models.weights import weights_of

TOKEN_COPIES = 12.0  # of the hidden tokens, at the peak of a block
PIXEL_COPIES = 12.8  # of the VAE's features at full size, at the peak of decoding the whole clip
TILE_COPIES = 20.0  # the same of the frames of a tile that are decoded at once
WORKSPACE = 2**28  # bytes, of either network at work, whatever its size
STREAM_FRAMES = 8  # that a streamed VAE works on at once
GUIDANCE_BATCH = 2  # with and without prompts
SPATIAL = 8  # pixels per latent column and row, of both codecs
BLOCKS_AT_ONCE = 2  # of a transformer that streams: one works, the next comes in
# Bytes of a weight in T5's blocks and outside them. Of the matrices of a block the last is not in eight bits.
_TEXT_BYTES = {"float32": (4, 4), "bfloat16": (2, 2), "int8": (1.22, 2)}


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Bytes on the device while each part of the model works, the parts that stay there included.

    `codec` includes the transformer at work where one window is decoded while the next is sampled.
    """

    text: int
    transformer: int
    codec: int

    @property
    def peak(self) -> int:
        """Bytes at the worst moment."""
        return max(self.text, self.transformer, self.codec)


@dataclass(frozen=True, kw_only=True)
class _Part:
    working: int  # bytes while it works
    staying: int  # bytes while others do

    @property
    def extra(self) -> int:
        """Bytes that come while it works, and go."""
        return self.working - self.staying


def estimate(
    folder: ModelFolder,
    plan: Plan,
    device: torch.device,
    dtype: torch.dtype,
    *,
    text_precision: str = "auto",
    float8: bool = False,
) -> Estimate:
    """What the model in `folder` takes on `device` under `plan`, for the longest of its tasks.

    `float8` says that the transformer's big linear layers are in FP8.
    """
    parts = {
        "text": _text(folder, plan, device, text_precision),
        "transformer": _transformer(folder, plan, device, dtype, float8),
        "codec": _codec(folder, plan, device, dtype),
    }
    stay = sum(part.staying for part in parts.values())
    peaks = {name: stay + part.extra for name, part in parts.items()}
    if plan.decodes_aside:
        peaks["codec"] += parts["transformer"].extra
    return Estimate(**peaks)


def _text(folder: ModelFolder, plan: Plan, device: torch.device, text_precision: str) -> _Part:
    path = folder.path / "text_encoder"
    weights, precision = weights_of(path), pick_text_precision(text_precision, path, device)
    in_block, outside = _TEXT_BYTES[precision]
    blocks = weights.num_parameters - weights.outside_blocks
    if plan.text == "stream" and precision != "int8":  # which is read whole
        blocks = weights.largest_block
    whole = int(blocks * in_block + weights.outside_blocks * outside)
    return _Part(working=whole, staying=whole if plan.text == "keep" else 0)


def _transformer(folder: ModelFolder, plan: Plan, device: torch.device, dtype: torch.dtype, float8: bool) -> _Part:
    weights = weights_of(folder.path / "transformer")
    config, size = weights.config, dtype.itemsize
    width = config["num_attention_heads"] * config["attention_head_dim"]
    tokens = _num_tokens(folder, config["patch_size"])
    activations = WORKSPACE + int(TOKEN_COPIES * GUIDANCE_BATCH * tokens * width * size)
    in_blocks = weights.num_parameters - weights.outside_blocks
    saved = (size - 1) * weights.big_linears / in_blocks if float8 else 0  # bytes, of each weight in a block
    if plan.transformer == "blocks":
        in_blocks = BLOCKS_AT_ONCE * weights.largest_block
    whole = int(weights.outside_blocks * size + in_blocks * (size - saved))
    if plan.transformer == "blocks":
        return _Part(working=whole + activations, staying=0)
    return _Part(working=whole + activations, staying=whole if _stays(plan.transformer, device) else 0)


def _codec(folder: ModelFolder, plan: Plan, device: torch.device, dtype: torch.dtype) -> _Part:
    weights, manifest = weights_of(folder.path / "codec"), folder.manifest
    frames = max(layout.num_sequence_frames for layout in manifest.layouts.values())
    pixels = frames * manifest.height * manifest.width
    if manifest.codec == "linear":
        whole = weights.num_parameters * 4
        return _Part(working=whole + 2 * 3 * pixels * 4, staying=whole)  # as pixels, and in blocks
    features = weights.config["block_out_channels"][0] * dtype.itemsize  # bytes of one pixel's
    whole = weights.num_parameters * dtype.itemsize
    if plan.tile is None:
        activations = PIXEL_COPIES * pixels * features
    else:
        tile = min(plan.tile, manifest.height) * min(plan.tile, manifest.width) * STREAM_FRAMES
        joined = 2 * 3 * pixels * 4 if device.type == "cpu" else 0  # the pictures that tiles make, and their weighing
        activations = TILE_COPIES * tile * features + joined
    return _Part(working=whole + WORKSPACE + int(activations), staying=whole if _stays(plan.codec, device) else 0)


def _stays(residence: str, device: torch.device) -> bool:
    """Whether what takes turns is there also when others work: on a CPU there is nowhere else."""
    return residence == "device" or device.type == "cpu"


def _num_tokens(folder: ModelFolder, patch: int) -> int:
    """Tokens of the longest sequence, text and video."""
    manifest = folder.manifest
    grid = (manifest.height // (SPATIAL * patch)) * (manifest.width // (SPATIAL * patch))
    return max(
        len(layout.prompts) * manifest.prompt_tokens + layout.num_latents * grid for layout in manifest.layouts.values()
    )
