"""The adapters of the Motion and the Content LoRA: put on the chosen blocks, scaled, and written as files.

The maths is peft's. What is written is what diffusers' own trainers write, and `--lora` reads.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from safetensors.torch import save
from torch import Tensor, nn

from layerflow.files import atomic_path, make_folder
from layerflow.models.adapter_files import METADATA_KEY, AdapterFiles
from layerflow.models.adapters import ADAPTER, DIFFUSERS_PREFIX, read_adapter
from layerflow.models.network import network_shell
from layerflow.transformer import LayerFlowTransformer

MOTION, CONTENT = "motion", "content"


def chosen_blocks(num_blocks: int, every: int) -> tuple[int, ...]:
    """The last of every `every` blocks, as the released training has them: of 30 and 6 they are 5, 11, 17, 23, 29."""
    return tuple(range(every - 1, num_blocks, every))


def add_lora(
    transformer: LayerFlowTransformer,
    name: str,
    blocks: Sequence[int],
    targets: Sequence[str],
    *,
    rank: int,
    alpha: float,
) -> None:
    """A fresh LoRA on `targets` of these blocks, which changes nothing yet, and is all that is trained then."""
    modules = [f"transformer_blocks.{block}.{target}" for block in blocks for target in targets]
    before = active(transformer)
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=modules)  # type: ignore[arg-type]  # it may be a float
    _inject(transformer, config, name)
    transformer.set_adapter([*before, name])
    train_only(transformer, name)


def load_lora(transformer: LayerFlowTransformer, name: str, files: AdapterFiles, network: Path) -> None:
    """The LoRA of `files` beside those that are there, frozen; `network` is the folder of the transformer it is for.

    Raises ModelError when it does not fit.
    """
    layers = read_adapter(files, network_shell(network)).layers
    ranks = {module: layer.r[ADAPTER] for module, layer in layers.items()}
    config = LoraConfig(
        target_modules=sorted(layers),
        rank_pattern={_exactly(module): rank for module, rank in ranks.items()},
        alpha_pattern={_exactly(module): layers[module].scaling[ADAPTER] * rank for module, rank in ranks.items()},
    )
    before = active(transformer)
    _inject(transformer, config, name)
    with torch.no_grad():
        for module, layer in layers.items():
            own: Any = transformer.get_submodule(module)
            own.lora_A[name].weight.copy_(layer.lora_A[ADAPTER].weight)
            own.lora_B[name].weight.copy_(layer.lora_B[ADAPTER].weight)
    transformer.set_adapter([*before, name])
    transformer.requires_grad_(False)


def set_scale(transformer: nn.Module, name: str, scale: float) -> None:
    """How much of a LoRA counts: 0 is none of it, 1 all."""
    for layer in transformer.modules():
        if isinstance(layer, LoraLayer):
            layer.set_scale(name, scale)


def active(transformer: LayerFlowTransformer) -> list[str]:
    """The LoRAs that are on the network."""
    return list(getattr(transformer, "peft_config", {}))


def train_only(transformer: nn.Module, name: str) -> None:
    """Lets the optimiser move the weights of that LoRA and no others."""
    for key, weight in transformer.named_parameters():
        weight.requires_grad_(f".lora_A.{name}." in key or f".lora_B.{name}." in key)


def lora_weights(weights: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """Those of `weights` that are the LoRA's, by peft's names of them."""
    marks = {f".lora_{half}.{name}.": f".lora_{half}." for half in "AB"}
    found = {key: next((mark for mark in marks if mark in key), None) for key in weights}
    return {key.replace(mark, marks[mark]): weights[key].detach() for key, mark in found.items() if mark}


def lora_settings(transformer: LayerFlowTransformer, name: str) -> dict[str, object]:
    """What peft was told when the LoRA was made, as JSON values."""
    settings = transformer.peft_config[name].to_dict()
    return {key: sorted(value) if isinstance(value, set) else value for key, value in settings.items()}


def write_lora_file(path: Path, weights: Mapping[str, Tensor], settings: Mapping[str, object]) -> Path:
    """Writes a LoRA as one safetensors file, in diffusers' form. Raises OutputError."""
    tensors = {f"{DIFFUSERS_PREFIX}{key}": value.float().cpu().contiguous() for key, value in weights.items()}
    prefixed = {f"{DIFFUSERS_PREFIX}{key}": value for key, value in settings.items()}
    make_folder(path.parent)
    with atomic_path(path) as part:
        part.write_bytes(save(tensors, metadata={"format": "pt", METADATA_KEY: json.dumps(prefixed, sort_keys=True)}))
    return path


def _inject(transformer: LayerFlowTransformer, config: LoraConfig, name: str) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Already found a `peft_config`")  # there may be two, and are to be
        transformer.add_adapter(config, name)


def _exactly(module: str) -> str:
    return f"^{re.escape(module)}"
