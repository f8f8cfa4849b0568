"""A model folder's transformer, LoRAs merged into it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import torch
from diffusers.utils import logging as diffusers_logging
from safetensors import safe_open
from torch import Tensor

from layerflow.errors import ModelError, RequestError
from layerflow.models.adapter_files import AdapterFiles, find_lora, peft_folder
from layerflow.models.adapters import Adapter, is_finite, read_adapter
from layerflow.models.folder import SAFE, ModelFolder
from layerflow.transformer import LayerFlowTransformer

MOTION = "motion"  # the Motion LoRA's folder in a model's
NO_TABLES = {"text_tokens": 1, "position_frames": 1, "position_rows": 1, "position_columns": 1}  # no LoRA reaches them


def load_transformer(
    folder: ModelFolder,
    *,
    dtype: torch.dtype,
    lora: Sequence[str] = (),
    motion: float = 0.0,
    unmerged: torch.dtype | None = None,
    layers: Sequence[str] = (),
) -> LayerFlowTransformer:
    """The transformer of `folder` on the CPU, frozen, in `dtype`, with every LoRA merged.

    Weights that no LoRA changes are of the type `unmerged`, if one is given: left as stored, they stay in their file.
    `lora` are a request's, `motion` the scale of the Motion LoRA. Each weight they change is summed in float32 from
    what is stored and then cast, one at a time, so there is never a second copy of the network. A network that can hold
    more layers is narrowed to `layers`, or to those of the model's own layouts. Raises ModelError for a
    LoRA that does not fit or cannot be read, RequestError for motion without a Motion LoRA.
    """
    path = folder.path / "transformer"
    adapters = [read_adapter(files, network_shell(path)) for files in chosen_loras(folder, lora=lora, motion=motion)]
    diffusers_logging.disable_progress_bar()  # of shards; the shot has progress of its own
    transformer: LayerFlowTransformer = LayerFlowTransformer.from_pretrained(
        path, torch_dtype=unmerged or dtype, **SAFE
    )
    if adapters:
        _merge(adapters, path, transformer, dtype)
    if folder.manifest.all_layers:
        own = next(iter(folder.manifest.layouts.values())).layers
        transformer = transformer.narrowed(folder.slots(layers or own))
    transformer.eval().requires_grad_(False)
    return transformer


def chosen_loras(folder: ModelFolder, *, lora: Sequence[str], motion: float) -> list[AdapterFiles]:
    """The LoRAs that a request merges into the model, the Motion LoRA first. Raises as `load_transformer` does."""
    chosen = [find_lora(text) for text in lora]
    if motion == 0.0:
        return chosen
    if not (folder.path / MOTION).is_dir():
        raise RequestError(
            f"model {folder.manifest.name} has no Motion LoRA; leave motion at 0 or choose another model"
        )
    return [peft_folder(folder.path / MOTION, motion), *chosen]


def network_shell(path: Path) -> LayerFlowTransformer:
    """The network's layers without numbers, on the device "meta"."""
    config = LayerFlowTransformer.load_config(path, local_files_only=True)
    with torch.device("meta"):
        shell: LayerFlowTransformer = LayerFlowTransformer.from_config({**config, **NO_TABLES})
    return shell


def _merge(adapters: Sequence[Adapter], path: Path, transformer: LayerFlowTransformer, dtype: torch.dtype) -> None:
    with ExitStack() as stack:
        files = [stack.enter_context(safe_open(file, framework="pt")) for file in sorted(path.glob("*.safetensors"))]
        stored = {key: file for file in files for key in file.keys()}  # noqa: SIM118 - it is no mapping
        for module in sorted({module for adapter in adapters for module in adapter.layers}):
            name = f"{module}.weight"
            merged: Tensor = stored[name].get_tensor(name).float()
            for adapter in adapters:
                if module in adapter.layers:
                    merged = merged + adapter.delta(module)
            weight = transformer.get_parameter(name)
            weight.data = merged.to(dtype)
            if not is_finite(weight):
                raise ModelError(
                    f"the LoRAs drive {name} beyond what {str(weight.dtype)[6:]} holds; lower their weights"
                )
