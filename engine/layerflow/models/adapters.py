"""LoRAs, read and held against the network they are for before anything is merged. The maths is peft's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from diffusers.utils import convert_unet_state_dict_to_peft
from torch import Tensor, nn

from layerflow.errors import ModelError
from layerflow.models.adapter_files import PEFT_PREFIX, AdapterFiles
from layerflow.models.adapter_fit import checked_ranks

if TYPE_CHECKING:
    from peft import LoraConfig

ADAPTER = "default"  # what peft calls the one adapter of a network
DIFFUSERS_PREFIX = "transformer."

_FLOATS = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")
_SCALING = ("r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora")
_TRAINING = (  # settings of how it was trained, and of which layers, which the weights' names say as well
    *("auto_mapping", "base_model_name_or_path", "corda_config", "ensure_weight_tying", "eva_config"),
    *("exclude_modules", "fan_in_fan_out", "inference_mode", "layers_pattern", "layers_to_transform", "loftq_config"),
    *("lora_dropout", "megatron_config", "megatron_core", "peft_version", "qalora_group_size", "revision"),
    *("runtime_config", "target_modules", "task_type"),
)
_PLAIN = {
    "peft_type": ("LORA",),
    "bias": ("none",),
    "init_lora_weights": (True, False, "gaussian", "orthogonal", "eva"),
}


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """A LoRA that fits its network."""

    files: AdapterFiles
    layers: Mapping[str, Any]  # module of the network -> peft's layer, which has the LoRA's weights and no others

    def delta(self, module: str) -> Tensor:
        """What the LoRA adds to the weight of `module`: float32, in the weight's shape."""
        delta: Tensor = self.layers[module].get_delta_weight(ADAPTER)
        return delta.detach()


def is_finite(values: Tensor) -> bool:
    """Whether no number is NaN or infinite. Several times faster than to ask it of each."""
    return bool(torch.stack(values.aminmax()).isfinite().all())


def read_adapter(files: AdapterFiles, shell: nn.Module) -> Adapter:
    """The LoRA of `files`, scaled by its weight.

    `shell` is the network without its numbers, on the device "meta"; peft's layers go into it. Raises ModelError when a
    name or a shape does not fit, before any weight is read, and when a setting asks for more than LoRA.
    """
    from peft import inject_adapter_in_model  # slow to import, and most shots have no LoRA
    from peft.tuners.lora import LoraLayer

    tensors, alphas, ranks = _read(files, shell)
    try:
        inject_adapter_in_model(
            _config(files, ranks, alphas), shell, ADAPTER, low_cpu_mem_usage=True, state_dict=tensors
        )
    except (AttributeError, TypeError, ValueError, RuntimeError, re.error) as error:
        raise ModelError(f"{files} has settings that make no sense ({error}); download or export it again") from error
    layers = {name: layer for name, layer in shell.named_modules() if isinstance(layer, LoraLayer)}
    for name, layer in layers.items():
        if layer.r[ADAPTER] != ranks[name]:
            said = layer.r[ADAPTER]
            raise ModelError(f"{files} says rank {said} for {name} and has {ranks[name]}; download or export it again")
        layer.set_scale(ADAPTER, files.weight)
    own = {name.removesuffix("weight") + f"{ADAPTER}.weight": value for name, value in tensors.items()}
    shell.load_state_dict(own, strict=False, assign=True)
    return Adapter(files=files, layers=layers)


def _read(files: AdapterFiles, shell: nn.Module) -> tuple[dict[str, Tensor], dict[str, float], dict[str, int]]:
    """The weights by peft's names, float32; the alpha and the rank of each module, as the file has them."""
    with files.open() as stored:
        names = _peft_names(files, list(stored.keys()))
        slices = {name: stored.get_slice(key) for name, key in names.items()}
        if strange := next((name for name, view in slices.items() if view.get_dtype() not in _FLOATS), None):
            raise ModelError(
                f"{files} holds {strange} as {slices[strange].get_dtype()}; export it in float16 or float32"
            )
        shapes = {name: tuple(view.get_shape()) for name, view in slices.items()}
        scalars = [name for name, shape in shapes.items() if name.endswith(".alpha") and shape in ((), (1,))]
        ranks = checked_ranks(str(files), {name: shapes[name] for name in shapes if name not in scalars}, shell)
        tensors = {name: stored.get_tensor(key).float() for name, key in names.items()}
    if broken := next((name for name, value in tensors.items() if not is_finite(value)), None):
        raise ModelError(f"{files} is not made of finite numbers in {broken}; download or export it again")
    return tensors, {name.removesuffix(".alpha"): tensors.pop(name).item() for name in scalars}, ranks


def _peft_names(files: AdapterFiles, keys: Iterable[str]) -> dict[str, str]:
    """Key of the file by peft's name of it, without a prefix, whatever way diffusers ever wrote it."""
    bare = [(key.removeprefix(PEFT_PREFIX).removeprefix(DIFFUSERS_PREFIX), key) for key in keys]
    names: dict[str, str] = {}
    for name, key in bare:
        (peft_name,) = convert_unet_state_dict_to_peft({name: key})
        if peft_name in names:
            raise ModelError(f"{files} holds {key} and {names[peft_name]}, which are the same; export it again")
        names[peft_name] = key
    return names


def _config(files: AdapterFiles, ranks: Mapping[str, int], alphas: Mapping[str, float]) -> LoraConfig:
    """peft's settings for the LoRA. Where nobody wrote them down, alpha is the rank unless the file holds another."""
    from peft import LoraConfig

    settings = files.settings()
    if settings is None:
        scaling: dict[str, Any] = {
            "rank_pattern": {_exactly(name): rank for name, rank in ranks.items()},
            "alpha_pattern": {_exactly(name): alphas.get(name, rank) for name, rank in ranks.items()},
        }
    elif alphas:
        raise ModelError(f"{files} says its scale twice, in its settings and as alpha; export it again")
    else:
        _check_plain(files, settings)
        scaling = {name: settings[name] for name in _SCALING if name in settings}
    return LoraConfig(target_modules=sorted(ranks), **scaling)


def _exactly(module: str) -> str:
    return f"^{re.escape(module)}"


def _check_plain(files: AdapterFiles, settings: Mapping[str, Any]) -> None:
    """Nothing but W + scale B A is asked for: what else peft can do changes other weights, or these in another way."""
    for name, value in settings.items():
        if name in _SCALING or name in _TRAINING:
            continue
        if value not in _PLAIN[name] if name in _PLAIN else value:
            raise ModelError(f"{files} has {name} {value!r}, which is more than LoRA; choose or export a plain one")
