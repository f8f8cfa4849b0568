"""What a builder's log says of the engine it made: how many attentions are one kernel, what it takes in memory.

Without a GPU an engine cannot be opened, so the log is where this is read; with detailed profiling it ends with a list
of all layers, each with the ONNX nodes it came from.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from layerflow_export.trt.graph import Block

_LAYER = re.compile(r"^Name: (\S+), LayerType: (\w+),(.*?)Metadata: (.*)$", re.MULTILINE)
_ORIGIN = re.compile(r"\[ONNX Layer: ([^\]]+)\]")
_MEMORY = r"Total {} Memory: (\d+) bytes"
_ERROR = re.compile(r"^(?:INTERNAL_)?ERROR: (.*)$", re.MULTILINE)
_FUSED_ATTENTION = "_mha"  # e.g. _gemm_mha_v2: both products and the softmax in one kernel


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer of an engine."""

    name: str
    kind: str
    origins: frozenset[str]  # names of ONNX nodes
    fp8_inputs: int  # tensors in FP8 that it reads, its weights among them


@dataclass(frozen=True, kw_only=True)
class Fusion:
    """What became of each transformer block."""

    num_blocks: int
    unfused_attention: tuple[int, ...]  # blocks whose attention is not one kernel
    unmerged_qkv: tuple[int, ...]  # blocks whose query, key and value are not one matrix product
    fp8_products: int  # matrix products of numbers in FP8
    num_layers: int
    weights_bytes: int
    activation_bytes: int

    @property
    def attention_fused(self) -> int:
        """In how many blocks attention is one kernel."""
        return self.num_blocks - len(self.unfused_attention)

    @property
    def qkv_merged(self) -> int:
        """In how many blocks query, key and value are one matrix product."""
        return self.num_blocks - len(self.unmerged_qkv)


def parse_layers(log: str) -> tuple[Layer, ...]:
    """The layers that a log lists."""
    return tuple(
        Layer(
            name=name,
            kind=kind,
            origins=frozenset(_ORIGIN.findall(metadata)),
            fp8_inputs=tensors.partition("Outputs:")[0].count("Datatype: FP8"),
        )
        for name, kind, tensors, metadata in _LAYER.findall(log)
    )


def parse_fusion(log: str, blocks: Sequence[Block]) -> Fusion:
    """How the nodes of `blocks` were fused. A log without layers says that nothing was."""
    layers = parse_layers(log)
    attentions = [layer for layer in layers if _FUSED_ATTENTION in layer.name]
    return Fusion(
        num_blocks=len(blocks),
        unfused_attention=tuple(
            index
            for index, block in enumerate(blocks)
            if not any(layer.origins & block.attention for layer in attentions)
        ),
        unmerged_qkv=tuple(
            index
            for index, block in enumerate(blocks)
            if len(block.projections) != (1 if block.is_merged else 3)
            or not any(block.projections <= layer.origins for layer in layers)
        ),
        fp8_products=sum(layer.fp8_inputs >= 2 for layer in layers),
        num_layers=len(layers),
        weights_bytes=_memory(log, "Weights"),
        activation_bytes=_memory(log, "Activation"),
    )


def first_error(log: str) -> str:
    """The first error in a log, or an empty text."""
    found = _ERROR.search(log)
    return found[1].strip() if found else ""


def _memory(log: str, what: str) -> int:
    """Bytes of all engines in the log that are printed for `what`."""
    return sum(map(int, re.findall(_MEMORY.format(what), log)))
