"""LoRAs of random weights, written by the libraries that artists' LoRAs come from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import CogVideoXPipeline
from peft import LoraConfig
from safetensors.torch import save_file
from torch import Tensor

from layerflow.transformer import LayerFlowTransformer

MODULES = (
    "transformer_blocks.0.attn1.to_q",
    "transformer_blocks.1.attn1.to_out.0",
    "transformer_blocks.0.ff.net.0.proj",
    "transformer_blocks.1.ff.net.2",
    "transformer_blocks.0.norm1.linear",
    "patch_embed.proj",  # a convolution
)


def random_lora(
    network: LayerFlowTransformer, modules: tuple[str, ...] = MODULES, *, rank: int = 4, seed: int = 0
) -> dict[str, Tensor]:
    """lora_A and lora_B of each module by peft's names, without a prefix."""
    numbers = torch.Generator().manual_seed(seed)
    tensors = {}
    for module in modules:
        outputs, *inputs = network.get_parameter(f"{module}.weight").shape
        tensors[f"{module}.lora_A.weight"] = torch.randn(rank, *inputs, generator=numbers)
        tensors[f"{module}.lora_B.weight"] = torch.randn(outputs, rank, *(1 for _ in inputs[1:]), generator=numbers)
    return tensors


def product(tensors: Mapping[str, Tensor], module: str) -> Tensor:
    """B A by hand, in the shape of the module's weight."""
    up, down = tensors[f"{module}.lora_B.weight"], tensors[f"{module}.lora_A.weight"]
    return (up.flatten(1) @ down.flatten(1)).unflatten(1, down.shape[1:])


def write_diffusers(folder: Path, tensors: Mapping[str, Tensor], **settings: Any) -> Path:
    """The file as diffusers' trainers write it; `settings` are LoraConfig's, and without any there is no metadata."""
    metadata = LoraConfig(**settings).to_dict() if settings else None
    CogVideoXPipeline.save_lora_weights(folder, dict(tensors), transformer_lora_adapter_metadata=metadata)
    return folder / "pytorch_lora_weights.safetensors"


def write_peft(folder: Path, tensors: Mapping[str, Tensor], **settings: Any) -> Path:
    """The folder as peft writes it."""
    LoraConfig(**settings).save_pretrained(folder)
    save_file(
        {f"base_model.model.{name}": value for name, value in tensors.items()}, folder / "adapter_model.safetensors"
    )
    return folder
