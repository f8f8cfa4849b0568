"""The precision float8: bfloat16, with the big linear layers in FP8 (E4M3) on the GPUs that multiply such numbers.

The big ones are attention's projections and the feed-forward: next to all of a step's matrix products but attention
itself. What feeds modulation, embeds or unpacks stays in bfloat16: it is little work, and all tokens depend on it. Each
row of a weight has a scale of its own, and so has each token, taken from it as it comes; torchao does both, and
multiplies.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from layerflow.errors import RequestError

FLOAT8 = "float8"  # as a Request names it
LARGEST = 448.0  # of E4M3
LEAST_CAPABILITY = (8, 9)  # the first generation with FP8 matrix products
_BIG = re.compile(r"transformer_blocks\.\d+\.(?:attn1\.to_(?:q|k|v|out\.0)|ff\.net\.(?:0\.proj|2))")
_LEAST = 1e-12  # the smallest that the largest number of a row counts as: a token of zeros has a scale too


def is_big_linear(name: str) -> bool:
    """Whether the transformer's module `name` is one of the linear layers that are worth FP8."""
    return _BIG.fullmatch(name) is not None


def big_linears(transformer: nn.Module) -> Iterator[tuple[str, nn.Linear]]:
    """Those layers of `transformer` by name, in the order they run in."""
    for name, module in transformer.named_modules():
        if is_big_linear(name) and isinstance(module, nn.Linear):
            yield name, module


def refuse_without_float8(device: torch.device) -> None:
    """Raises RequestError where `device` cannot multiply FP8 or torchao is not installed."""
    if device.type != "cuda":
        raise RequestError(f"float8 needs an NVIDIA GPU, not {device}; use --precision bfloat16")
    if (found := torch.cuda.get_device_capability(device)) < LEAST_CAPABILITY:
        needed, has = (".".join(map(str, version)) for version in (LEAST_CAPABILITY, found))
        raise RequestError(
            f"float8 needs a GPU of compute capability {needed} (RTX 40, H100) and {device} has {has}; "
            "use --precision bfloat16"
        )
    if find_spec("torchao") is None:
        raise RequestError("float8 needs the extra fp8; pip install 'layerflow[fp8]'")


def quantize_linears(transformer: nn.Module) -> None:
    """Turns the big linear layers of `transformer`, which is in bfloat16, to FP8; LoRAs are to be merged before.

    The weights may be anywhere and move as before. A layer with a row of zeros, which has no scale, stays as it is.
    """
    from torchao.quantization import Float8DynamicActivationFloat8WeightConfig, PerRow, quantize_

    config = Float8DynamicActivationFloat8WeightConfig(
        granularity=PerRow(),
        activation_value_lb=_LEAST,
        set_inductor_config=False,  # which would change the precision of every other float32 product
    )
    wanted = {module for _, module in big_linears(transformer) if bool(module.weight.any(dim=1).all())}
    quantize_(transformer, config, filter_fn=lambda module, name: module in wanted)


def precision_of(transformer: nn.Module) -> str:
    """The precision that `transformer` runs in, as a Request names it."""
    if any(is_traceable_wrapper_subclass(weight) for weight in transformer.parameters()):
        return FLOAT8
    return str(next(transformer.parameters()).dtype).removeprefix("torch.")


def refuse_float8(transformer: nn.Module, backend: str) -> None:
    """Raises RequestError where `transformer` has layers in FP8, whose weights `backend` cannot read."""
    if precision_of(transformer) == FLOAT8:
        raise RequestError(f"the backend {backend} cannot run float8; use --precision bfloat16 or --backend eager")


def float8_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """What a layer of `quantize_linears` computes, in plain torch on any device: `[..., K]`, `[N, K]` -> `[..., N]`."""
    product = F.linear(rounded_rows(x), rounded_rows(weight), None if bias is None else bias.float())
    return product.to(x.dtype)


def rounded_rows(values: Tensor) -> Tensor:
    """`values` [..., K] as FP8 with one scale per row holds them, float32."""
    held, scale = quantized_rows(values)
    return held.float() * scale


def quantized_rows(values: Tensor) -> tuple[Tensor, Tensor]:
    """`values` [..., K] as E4M3, and the scale of every row, `[..., 1]` float32; it has no more bits than `values`."""
    scale = (values.abs().amax(dim=-1, keepdim=True).clamp(min=_LEAST) / LARGEST).float()
    held = (values.float() / scale).clamp(-LARGEST, LARGEST).to(torch.float8_e4m3fn)
    return held, scale
