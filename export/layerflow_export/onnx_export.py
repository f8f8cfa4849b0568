"""The transformer as an ONNX graph, and the manifest that says where in it every weight is."""

from __future__ import annotations

import ast
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor, nn

from layerflow.models.building import building
from layerflow.models.hashes import file_sha256
from layerflow.transformer import LayerFlowTransformer
from layerflow_export.core import (
    OPSETS,
    OUTPUT,
    ExportCore,
    dynamic_shapes,
    example_inputs,
    frames_per_step,
)
from layerflow_export.manifest import (
    DATA,
    GRAPH,
    MANIFEST,
    GraphManifest,
    Origin,
    Weight,
    content_hash,
    made_with,
)

OUTSIDE = ("text_positions", "video_positions", "layer_embedding.", "given_embedding")  # not in the graph: see core.py

SCOPES = "pkg.torch.onnx.name_scopes"  # the modules that a node came from, outermost first, then the operator
_WRAPPER = "network."  # ExportCore's name for the transformer


def export_onnx(
    transformer: LayerFlowTransformer, target: Path, *, origin: Origin | None = None, content: str | None = None
) -> GraphManifest:
    """Writes the graph of `transformer`, which is on the CPU, into the new folder `target`; returns its manifest.

    `content` is the transformer's `content_hash`, where it is known already. The folder is whole or not there. Raises
    ModelError when it is there or being made elsewhere, OutputError when it cannot be written.
    """
    opset = OPSETS[transformer.dtype]
    with building(target) as part:
        graph = to_graph(transformer, opset)
        stored = name_weights(graph, transformer)
        ir.save(graph, part / GRAPH, external_data=DATA)
        manifest = GraphManifest(
            content=content or content_hash(transformer, opset),
            origin=origin,
            precision=str(transformer.dtype).removeprefix("torch."),
            opset=opset,
            frames_per_step=frames_per_step(transformer),
            versions=made_with(),
            weights=locate(part / GRAPH, stored),
            sha256={name: file_sha256(part / name) for name in (GRAPH, DATA)},
        )
        (part / MANIFEST).write_text(json.dumps(manifest.to_dict(), indent=1) + "\n", encoding="utf-8")
    return manifest


def to_graph(transformer: LayerFlowTransformer, opset: int) -> ir.Model:
    """The graph of `ExportCore`, `INPUTS` to `OUTPUT`, every side of them that is no channel or width of any length."""
    return graph_of(
        ExportCore(transformer),
        example_inputs(transformer),
        dynamic_shapes(transformer),
        output=OUTPUT,
        opset=opset,
    )


def graph_of(
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    shapes: Mapping[str, Mapping[int, Any]],
    *,
    output: str,
    opset: int,
) -> ir.Model:
    """The graph of any module that takes tensors of these names and returns one; `shapes` are `torch.export`'s."""
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            module,
            kwargs=dict(inputs),
            dynamic_shapes=dict(shapes),
            input_names=tuple(inputs),
            output_names=(output,),
            opset_version=opset,
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # it is for dynamo=True
    return program.model


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps what no user can act on off stderr: what torch says of its own parts, and of sides that share a name."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")  # that torchvision is not there
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.* is deprecated", category=FutureWarning)
            warnings.filterwarnings("ignore", message="# The axis name: ", category=UserWarning)
            yield
    finally:
        logger.setLevel(level)


def name_weights(graph: ir.Model, transformer: LayerFlowTransformer) -> dict[str, tuple[str, bool]]:
    """Names every weight in `graph` after its parameter; returns parameter -> name, and whether it is transposed.

    The exporter transposes and renames the matrices of most linear layers; the node that uses one knows its module.
    Of small weights with equal values the graph holds one, under the name of the first.
    """
    parameters = dict(transformer.named_parameters())
    found: dict[str, tuple[ir.Value, bool]] = {}
    for node in graph.graph.all_nodes():
        for value in node.inputs:
            if value is None or not value.is_initializer():
                continue
            name = (value.name or "").removeprefix(_WRAPPER)
            anonymous = node.op_type == "MatMul" and name not in parameters
            parameter = f"{_module_of(node)}.weight" if anonymous else name
            if parameter in parameters:
                found.setdefault(parameter, (value, anonymous))
    for parameter, (value, _) in found.items():
        if value.name not in found:
            value.name = parameter
    wanted = {name for name, value in parameters.items() if value.ndim > 1 and not name.startswith(OUTSIDE)}
    assert wanted <= found.keys(), f"not found in the graph: {sorted(wanted - found.keys())}"
    return {parameter: (str(value.name), transposed) for parameter, (value, transposed) in found.items()}


def _module_of(node: ir.Node) -> str:
    scopes = ast.literal_eval(node.metadata_props[SCOPES])
    return str(scopes[-2]).removeprefix(_WRAPPER)


def locate(path: Path, stored: Mapping[str, tuple[str, bool]]) -> dict[str, Weight]:
    """Where the graph at `path` keeps the weights of the given names."""
    values = ir.load(path).graph.initializers
    weights = {}
    for parameter, (name, transposed) in stored.items():
        tensor = values[name].const_value
        assert tensor is not None
        weights[parameter] = Weight(
            initializer=name,
            shape=tuple(tensor.shape.numpy()),
            transposed=transposed,
            offset=tensor.offset if isinstance(tensor, ir.ExternalTensor) else None,
            length=tensor.nbytes,
        )
    return weights
