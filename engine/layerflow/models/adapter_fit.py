"""Whether a LoRA belongs to a network, told by names and shapes alone.

Shapes: R rank, I what goes into a layer, O what comes out, K kernel of a convolution.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from torch import nn

from layerflow.errors import ModelError

Shape = tuple[int, ...]

_WEIGHT = re.compile(r"(?P<module>.+)\.(?P<half>lora_A|lora_B)\.weight")
_MADE_FOR = {  # what a name tells
    r"text_encoder|^lora_te\d?_": "a text encoder",
    r"^lora_(unet|transformer)_": "a trainer that has names of its own",
    r"lora_magnitude_vector|dora_scale": "DoRA, which is more than LoRA",
    r"single_transformer_blocks|single_blocks|double_blocks": "Flux or HunyuanVideo",
    r"(down|up)_blocks|mid_block": "Stable Diffusion",
    r"transformer\.layers\.\d+\.attention": "CogVideoX in its authors' own form",
    r"(^|\.)blocks\.\d+\.": "Wan",
    r"transformer_blocks\.\d+\.attn\.": "Stable Diffusion 3, Flux or Qwen-Image",
    r"transformer_blocks\.\d+\.attn2": "LTX-Video or another network with cross-attention",
}
_WIDTHS = {1920: "CogVideoX-2B", 2048: "LTX-Video", 3072: "CogVideoX-5B"}  # of attn1 in blocks of these names


def checked_ranks(label: str, shapes: Mapping[str, Shape], network: nn.Module) -> dict[str, int]:
    """The rank of the LoRA on each module of `network`.

    `shapes` are those of tensors named as peft names them: lora_A `[R, I]` or `[R, I, K, K]`, lora_B `[O, R]` or
    `[O, R, 1, 1]`. Raises ModelError about the first that does not fit.
    """
    ranks: dict[str, int] = {}
    layers = {name: layer for name, layer in network.named_modules() if isinstance(layer, (nn.Linear, nn.Conv2d))}
    for name, shape in shapes.items():
        if problem := _misfit(name, shape, layers, ranks):
            made_for = _made_for(shapes) or _made_for_width(name, shape)
            told = f" was made for {made_for}:" if made_for else " does not fit this model:"
            raise ModelError(f"{label}{told} {problem}; choose a LoRA made for this model's network")
    halves = Counter(name.rpartition(".lora_")[0] for name in shapes)
    if alone := next((module for module, count in halves.items() if count != 2), None):
        raise ModelError(f"{label} has only one of lora_A and lora_B for {alone}; download or export it again")
    if not ranks:
        raise ModelError(f"{label} holds no weights; choose another file")
    return ranks


def _misfit(name: str, shape: Shape, layers: Mapping[str, nn.Linear | nn.Conv2d], ranks: dict[str, int]) -> str:
    """What is wrong with one tensor, or nothing; `ranks` learns its rank."""
    match = _WEIGHT.fullmatch(name)
    if match is None:
        return f"{name} is not a LoRA's weight"
    module = match["module"]
    if module not in layers:
        return f"the network has no layer {module}"
    is_down = match["half"] == "lora_A"
    rank = shape[0 if is_down else 1] if len(shape) > 1 else 0
    outputs, *inputs = layers[module].weight.shape
    fitting = (rank, *inputs) if is_down else (outputs, rank, *(1 for _ in inputs[1:]))
    if shape != fitting or ranks.setdefault(module, rank) != rank or rank == 0:
        return f"{name} is {_by(shape)} where the network takes {_by(fitting)}"
    return ""


def _by(shape: Shape) -> str:
    return " x ".join(map(str, shape)) or "a single number"


def _made_for(names: Mapping[str, Shape]) -> str | None:
    return next((what for told, what in _MADE_FOR.items() if any(re.search(told, name) for name in names)), None)


def _made_for_width(name: str, shape: Shape) -> str | None:
    return _WIDTHS.get(shape[-1]) if name.endswith(("attn1.to_q.lora_A.weight", "attn1.to_k.lora_A.weight")) else None
