"""The part of the transformer that an exported graph holds, and what goes around it.

Inside: patches, text projection, timestep, blocks, and what is made of the tokens; nothing in it asks for a size.
Outside, in torch, and exactly the engine's own code: position tables, layer embedding and what marks given latents,
which depend on the size of the grid and on the task, and the preconditioning, which is float32 whatever the graph is.

Shapes: B batch, F latent frame, C channel, H W latent rows and columns, N text token of all prompts, D model width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from layerflow.denoisers import Network
from layerflow.transformer import LayerFlowTransformer

INPUTS = ("latents", "timestep", "text", "text_table", "video_table")  # in the order of `LayerFlowTransformer.core`
OUTPUT = "v"

# From opset 23 on attention is one node, which an engine builder has to fuse or refuse; in float32 TensorRT-RTX knows
# no fused kernel for it, so there it is spelled out.
OPSETS = {torch.float32: 20, torch.float16: 23, torch.bfloat16: 23}

# Extents that no side of the graph's inputs shares by chance: an exporter takes equal ones for one and the same.
_EXAMPLE = {"batch": 2, "frames": 3, "rows": 5, "columns": 7, "text_tokens": 11}


class ExportCore(nn.Module):
    """`LayerFlowTransformer.core` as a module of its own, never training: one file's graph, `INPUTS` to `OUTPUT`."""

    def __init__(self, transformer: LayerFlowTransformer) -> None:
        super().__init__()
        self.network = transformer
        self.eval()

    def forward(
        self,
        latents: Tensor,  # [B, F, C, H, W]
        timestep: Tensor,  # [B] float32
        text: Tensor,  # [B, N, text width]
        text_table: Tensor,  # [N, D]
        video_table: Tensor,  # [F, H, W, D] of rows and columns of patches
    ) -> Tensor:
        """`[B, F, C, H, W]`. All but the timestep is of the weights' type."""
        return self.network.core(latents, timestep, text, text_table, video_table)


def frames_per_step(transformer: LayerFlowTransformer) -> int:
    """The number that the sequence's latent frames are a multiple of."""
    return max(1, int(transformer.config.mixed_layers))


def example_inputs(transformer: LayerFlowTransformer) -> dict[str, Tensor]:
    """Zeros of a small shape for every input of the graph."""
    config, dtype = transformer.config, transformer.dtype
    batch, _, rows, columns, tokens = _EXAMPLE.values()
    frames = _EXAMPLE["frames"] * frames_per_step(transformer)
    width, patch = config.num_attention_heads * config.attention_head_dim, config.patch_size
    return {
        "latents": torch.zeros(batch, frames, config.latent_channels, patch * rows, patch * columns, dtype=dtype),
        "timestep": torch.zeros(batch),
        "text": torch.zeros(batch, tokens, config.text_width, dtype=dtype),
        "text_table": torch.zeros(tokens, width, dtype=dtype),
        "video_table": torch.zeros(frames, rows, columns, width, dtype=dtype),
    }


def dynamic_shapes(transformer: LayerFlowTransformer) -> dict[str, dict[int, Any]]:
    """Which side of which input may be of any length, for `torch.export`: all but channels and widths."""
    batch, frames, rows, columns, tokens = (Dim(name) for name in _EXAMPLE)
    step, patch = frames_per_step(transformer), transformer.config.patch_size
    sequence = frames if step == 1 else step * frames
    return {
        "latents": {0: batch, 1: sequence, 3: patch * rows, 4: patch * columns},
        "timestep": {0: batch},
        "text": {0: batch, 1: tokens},
        "text_table": {0: tokens},
        "video_table": {0: sequence, 1: rows, 2: columns},
    }


def denoiser(transformer: LayerFlowTransformer, run: Callable[[Mapping[str, Tensor]], Tensor]) -> Network:
    """A denoiser whose core is `run`, given every input by name; the rest is `transformer`'s own."""

    dtype = transformer.dtype

    def core(*values: Tensor) -> Tensor:
        inputs = dict(zip(INPUTS, values, strict=True))
        for name in ("text", "text_table", "video_table"):
            inputs[name] = inputs[name].to(dtype)
        return run(inputs)

    def network(
        latents: Tensor, timestep: Tensor, text: Tensor, layer_index: Tensor, given: Tensor | None = None
    ) -> Tensor:
        return transformer.around(core, latents, timestep, text, layer_index, given)

    return network
