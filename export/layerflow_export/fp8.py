"""A graph whose big linear layers are in FP8 (E4M3), as TensorRT wants them: quantized and dequantized before use.

Weights are stored as FP8 with a scale for each output. What enters a layer has one fixed scale, from the largest number
that calibration saw there. Query, key and value, which read the same, become one product of one stored matrix: a
builder does not join them any more once they are quantized. All else stays in the type of the graph.

The type beside FP8 is bfloat16. Either half type is built alike; FP8 is a hundred times coarser than both, and numbers
of the released models may leave float16's range.
"""

from __future__ import annotations

import ast
import hashlib
import json
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import onnx_ir as ir
import torch
from onnx_ir.tensor_adapters import TorchTensor
from torch import Tensor

from layerflow.models.building import building
from layerflow.models.float8 import LARGEST, is_big_linear, quantized_rows
from layerflow.models.hashes import file_sha256
from layerflow.transformer import LayerFlowTransformer
from layerflow_export.manifest import DATA, GRAPH, MANIFEST, GraphManifest, Origin
from layerflow_export.onnx_export import SCOPES, export_onnx, locate

HEADROOM = 4  # times what calibration saw, for what it did not see; up to 16 nothing is lost by it
_RECIPE = 1  # raise it when the same numbers would give another graph
_ZERO = "fp8_zero_point"  # FP8 has none; its type says what is quantized to
_BASE = "base"


def export_fp8(
    transformer: LayerFlowTransformer,
    target: Path,
    *,
    largest: Mapping[str, float],
    origin: Origin | None = None,
    content: str | None = None,
) -> GraphManifest:
    """Writes the graph of `transformer` with its big linear layers in FP8 into the new folder `target`.

    `largest` has the largest number that enters each of them. The rest is as of `export_onnx`, whose graph is made on
    the way.
    """
    with building(target) as part:
        base = export_onnx(transformer, part / _BASE, origin=origin, content=content)
        graph = ir.load(part / _BASE / GRAPH)
        quantize(graph, transformer, largest)
        ir.save(graph, part / GRAPH, external_data=DATA)
        shutil.rmtree(part / _BASE)
        there = graph.graph.initializers
        kept = {name: (weight.initializer, weight.transposed) for name, weight in base.weights.items()}
        manifest = replace(
            base,
            content=fp8_content(base.content),
            weights=locate(part / GRAPH, {name: where for name, where in kept.items() if where[0] in there}),
            largest_inputs=dict(largest),
            sha256={name: file_sha256(part / name) for name in (GRAPH, DATA)},
        )
        (part / MANIFEST).write_text(json.dumps(manifest.to_dict(), indent=1) + "\n", encoding="utf-8")
    return manifest


def fp8_content(content: str) -> str:
    """The hash of the FP8 graph of a network whose own is `content`: how it is calibrated belongs to the recipe."""
    return hashlib.sha256(f"{content} fp8 {_RECIPE}".encode()).hexdigest()


def quantize(graph: ir.Model, transformer: LayerFlowTransformer, largest: Mapping[str, float]) -> None:
    """Puts the big linear layers of `graph`, which is `transformer`'s, into FP8."""
    zero = _add(graph, _ZERO, torch.zeros((), dtype=torch.float8_e4m3fn))
    for entering, products in _products(graph).items():
        modules = list(products)
        first = products[modules[0]]
        scale = torch.tensor(input_scale(max(largest[name] for name in modules)), dtype=transformer.dtype)
        x = _quantized_input(graph, first, entering, _add(graph, f"{modules[0]}.input_scale", scale), zero)
        weight = torch.cat([transformer.get_parameter(f"{name}.weight") for name in modules])
        merged = _product(graph, products, x, _quantized_weight(graph, first, _name_of(modules), weight))
        _take_the_place(graph, list(products.values()), merged)


def input_scale(largest: float) -> float:
    """The scale of what enters a layer where calibration saw numbers as large as `largest`."""
    return HEADROOM * (largest or 1.0) / LARGEST


def _products(graph: ir.Model) -> dict[ir.Value, dict[str, ir.Node]]:
    """The matrix products of the big linear layers, by module, together with those that read the same value."""
    found: defaultdict[ir.Value, dict[str, ir.Node]] = defaultdict(dict)
    for node in graph.graph:
        entering, weight = (*node.inputs, None, None)[:2]
        if node.op_type == "MatMul" and entering is not None and weight is not None and weight.is_initializer():
            module = str(weight.name).removesuffix(".weight")
            if is_big_linear(module):
                found[entering][module] = node
    return found


def _name_of(modules: Sequence[str]) -> str:
    """`…attn1.to_qkv` for the three of them, and the name itself for one."""
    return modules[0] if len(modules) == 1 else modules[0][:-1] + "".join(name[-1] for name in modules)


def _quantized_input(graph: ir.Model, before: ir.Node, x: ir.Value, scale: ir.Value, zero: ir.Value) -> ir.Value:
    down = ir.node("QuantizeLinear", [x, scale, zero], name=f"{x.name}.quantize")
    up = ir.node("DequantizeLinear", [down.outputs[0], scale, zero], name=f"{x.name}.dequantize")
    graph.graph.insert_before(before, [down, up])
    return up.outputs[0]


def _quantized_weight(graph: ir.Model, before: ir.Node, name: str, weight: Tensor) -> ir.Value:
    """`weight` [N, K] as the right side of a product."""
    held, scale = quantized_rows(weight)
    stored = _add(graph, f"{name}.weight_fp8", held.T.contiguous())
    scales = _add(graph, f"{name}.weight_scale", scale[:, 0].to(weight.dtype))
    up = ir.node("DequantizeLinear", [stored, scales], attributes={"axis": 1}, name=f"{name}.weight.dequantize")
    graph.graph.insert_before(before, [up])
    return up.outputs[0]


def _product(graph: ir.Model, products: Mapping[str, ir.Node], x: ir.Value, weight: ir.Value) -> list[ir.Value]:
    """The outputs of one product in the place of `products`."""
    nodes = list(products.values())
    product = ir.node("MatMul", [x, weight], name=f"{nodes[0].name}.fp8")
    product.metadata_props[SCOPES] = str(sorted(set().union(*map(_scopes, nodes))))
    graph.graph.insert_before(nodes[0], [product])
    if len(nodes) == 1:
        return list(product.outputs)
    split = ir.node(
        "Split",
        product.outputs,
        attributes={"axis": -1, "num_outputs": len(nodes)},
        num_outputs=len(nodes),
        name=f"{nodes[0].name}.split",
    )
    graph.graph.insert_before(nodes[0], [split])
    return list(split.outputs)


def _take_the_place(graph: ir.Model, nodes: Sequence[ir.Node], values: Sequence[ir.Value]) -> None:
    for node, value in zip(nodes, values, strict=True):
        weight = node.inputs[1]
        value.type, value.shape = node.outputs[0].type, node.outputs[0].shape
        ir.convenience.replace_all_uses_with(node.outputs[0], value)
        graph.graph.remove(node, safe=True)
        if weight is not None and not weight.uses():
            del graph.graph.initializers[str(weight.name)]


def _scopes(node: ir.Node) -> Iterator[str]:
    yield from map(str, ast.literal_eval(node.metadata_props[SCOPES]))


def _add(graph: ir.Model, name: str, value: Tensor) -> ir.Value:
    tensor = TorchTensor(value.detach(), name=name)
    added = ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(value.shape), const_value=tensor)
    graph.graph.register_initializer(added)
    return added
