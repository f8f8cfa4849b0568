"""Networks and their graphs, and inputs for a network of any form and shape."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest
import torch
from torch import Tensor

from layerflow.denoisers import Network
from layerflow.models.network import load_transformer
from layerflow.models.shelf import find_model
from layerflow.transformer import LayerFlowTransformer
from layerflow_export.cli.app import run
from layerflow_export.core import denoiser
from layerflow_export.manifest import GRAPH

# batch, latent frames, latent rows, latent columns, prompts, tokens of a prompt
SHAPES = [(1, 8, 4, 6, 3, 8), (2, 12, 8, 4, 2, 5), (3, 4, 2, 10, 1, 7), (1, 16, 6, 6, 4, 1)]

every_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))


def network_of(model: str | Path, dtype: torch.dtype = torch.float32) -> LayerFlowTransformer:
    return load_transformer(find_model(str(model)), dtype=dtype)


def inputs_of(transformer: LayerFlowTransformer, shape: tuple[int, ...], seed: int = 5) -> dict[str, Tensor]:
    """Noise for `transformer.forward`; the last quarter of the frames is given."""
    batch, frames, rows, columns, prompts, tokens = shape
    generator = torch.Generator().manual_seed(seed)
    config = transformer.config
    return {
        "latents": torch.randn(batch, frames, config.latent_channels, rows, columns, generator=generator),
        "timestep": 999.0 * torch.rand(batch, generator=generator),
        "text": torch.randn(batch, prompts, tokens, config.text_width, generator=generator).to(transformer.dtype),
        "layer_index": torch.arange(float(prompts)),
        "given": torch.arange(frames) >= 3 * frames // 4,
    }


def exported(model: Path, folder: Path, *options: str) -> Path:
    """What `layerflow-export onnx` makes of `model`."""
    assert run(["onnx", str(model), "-o", str(folder), *options]) == 0
    return folder


def run_with(graph: Path, transformer: LayerFlowTransformer) -> Network:
    """The denoiser of the graph in a folder, by onnxruntime."""
    session = onnxruntime.InferenceSession(graph / GRAPH, providers=["CPUExecutionProvider"])
    return denoiser(
        transformer, lambda inputs: torch.from_numpy(session.run(None, {k: v.numpy() for k, v in inputs.items()})[0])
    )
