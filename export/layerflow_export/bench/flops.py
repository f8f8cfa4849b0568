"""How many floating-point operations the network takes, from its configuration and the size of a clip alone.

A multiplication and an addition count as two, so a matrix product of [m, k] and [k, n] is 2 m k n. With d the model's
width, T video tokens, N text tokens and S = T + N of them in one joint sequence, a row of the batch takes in one block

    queries, keys, values   three [S, d] x [d, d]         6 S d^2
    output of attention     [S, d] x [d, d]               2 S d^2
    feed-forward            [S, d] x [d, 4d] and back    16 S d^2
                                                         --------
    linear                                               24 S d^2

    Q K^T                   per head [S, h] x [h, S]      2 S^2 d   over all d / h heads
    weights times V         per head [S, S] x [S, h]      2 S^2 d
                                                          --------
    attention                                             4 S^2 d

and two modulations of 6 d numbers each from the timestep's embedding of width t: 24 t d. Attention takes the larger
part from S = 6 d on: 11 520 tokens at the released width, whose clips have 22 278.

Outside the blocks are projections in and out, in all less than a thousandth at the released size. Norms, softmax, GELU
and positions are left out, as is usual: they are bound by memory, not by arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from layerflow.codec import LinearCodec
from layerflow.pixel_head import PICTURE, SIDE

FEED_FORWARD = 4  # times the width: CogVideoXBlock's own
MODULATED = 6  # shift, scale and gate, of video and of text


@dataclass(frozen=True, kw_only=True)
class Flops:
    """Of one row of a batch through `LayerFlowTransformer.core`."""

    linear: int  # the blocks' matrix products with weights, over tokens
    attention: int
    rest: int  # modulations, and everything outside the blocks

    @property
    def total(self) -> int:
        return self.linear + self.attention + self.rest


def core_flops(config: Mapping[str, Any], latents: tuple[int, int, int, int], text_tokens: int) -> Flops:
    """Of a `LayerFlowTransformer` with `config`, for latents `[F, C, H, W]` and all prompts' tokens together."""
    frames, channels, height, width_ = latents
    patch, blocks, time = config["patch_size"], config["num_blocks"], config["time_width"]
    width = config["num_attention_heads"] * config["attention_head_dim"]
    video_tokens = frames * (height // patch) * (width_ // patch)
    tokens = video_tokens + text_tokens
    modulation = 2 * matmul(1, time, MODULATED * width)
    ends = (
        2 * matmul(video_tokens, channels * patch**2, width)  # patches in and out
        + matmul(text_tokens, config["text_width"], width)
        + matmul(1, width, time)
        + matmul(1, time, time)
        + matmul(1, time, 2 * width)  # the last norm's shift and scale
    )
    return Flops(
        linear=blocks * (4 * matmul(tokens, width, width) + 2 * matmul(tokens, width, FEED_FORWARD * width)),
        attention=blocks * 2 * matmul(tokens, width, tokens),
        rest=blocks * modulation
        + ends
        + _mixing(config, video_tokens, channels, width)
        + _words(config, text_tokens, width)
        + _pixel_head(config, latents),
    )


def _mixing(config: Mapping[str, Any], video_tokens: int, channels: int, width: int) -> int:
    """Of what lets layers see and copy each other, in a model that has it: `LayerView` and `CopyGate`."""
    layers, patch = config["mixed_layers"], config["patch_size"]
    if not layers:
        return 0
    view = matmul(video_tokens // layers, layers * channels * patch**2, width)
    gates = matmul(video_tokens, width, layers * patch**2)
    mix = matmul(video_tokens * patch**2, layers, channels)  # every value is a sum over layers
    return view + gates + mix


def _words(config: Mapping[str, Any], text_tokens: int, width: int) -> int:
    """Of what tells each layer its prompt, in a model that has it: `LayerWords`."""
    if not config["prompt_tokens"]:
        return 0
    return matmul(2, text_tokens, width) + matmul(2, width, width) + matmul(config["mixed_layers"], 2, width)


def _pixel_head(config: Mapping[str, Any], latents: tuple[int, int, int, int]) -> int:
    """Of the U-Net in pixels, in a model that has it: `PixelHead`. Its gates are left out, being no product."""
    widths, layers, time = list(config["pixel_widths"]), config["mixed_layers"], config["time_width"]
    if not widths:
        return 0
    frames, channels, height, width = latents
    block = LinearCodec.temporal * LinearCodec.spatial**2 * 3
    codec = 3 * matmul(frames * height * width, channels, block)  # what goes in and what was made, and back
    finest = frames // layers * LinearCodec.temporal * height * width * (LinearCodec.spatial // SIDE) ** 2
    places = [finest // 4**level for level in range(len(widths))]
    ends = matmul(finest, widths[0], layers * PICTURE + layers * (layers + 1) * SIDE**2)
    ends += matmul(finest, 2 * layers * PICTURE, widths[0])
    levels = [2 * matmul(place, 9 * own, own) + matmul(1, time, own) for place, own in zip(places, widths, strict=True)]
    steps = [matmul(place, 4 * a, b) for place, (a, b) in zip(places[1:], pairwise(widths), strict=True)]
    return codec + ends + sum(levels) + sum(levels[:-1]) + 2 * sum(steps)


def matmul(rows: int, inner: int, columns: int) -> int:
    """Operations of `[rows, inner] x [inner, columns]`."""
    return 2 * rows * inner * columns
