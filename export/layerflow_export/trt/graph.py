"""What is read from an ONNX file before an engine is built of it: inputs, precision, hash, and where the blocks are."""

from __future__ import annotations

import ast
import hashlib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerflow.errors import ModelError
from layerflow.models.hashes import remembered_sha256

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

SCOPES = "pkg.torch.onnx.name_scopes"  # where PyTorch's exporter says which module a node comes from
_ATTENTION = re.compile(r"transformer_blocks\.(\d+)\.attn1(?:\.(to_[qkv]))?$")
FP8 = "fp8"  # the big linear layers, and all else in bfloat16
PRECISIONS = {
    "fp32": "float32",
    "fp16": "float16",
    "bf16": "bfloat16",
    FP8: "bfloat16",
}  # as builders say, as torch says


@dataclass(frozen=True, kw_only=True)
class Block:
    """The nodes of one transformer block's attention, by name."""

    attention: frozenset[str]
    projections: frozenset[str]  # the matrix products of query, key and value
    is_merged: bool = False  # the graph itself has one product for all three


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A network in an ONNX file, without its weights."""

    path: Path
    sha256: str  # of the file and of all its external data
    num_bytes: int  # of all of them
    precision: str  # fp32, fp16, bf16 or mixed: the type that most of the weights have; fp8 if some are in that
    inputs: dict[str, tuple[int | str, ...]]  # a dimension that is left open has a name or an expression of names
    blocks: tuple[Block, ...]
    fp8_products: int  # matrix products of dequantized weights
    content: str | None  # `content_hash` of its transformer, where the manifest of exactly these files says so


def read_graph(path: Path) -> Graph:
    """The graph in that file. Raises ModelError when there is none, or none of LayerFlow's transformer."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
        files = _files(path, model)
        hashes = {file.name: remembered_sha256(file) for file in files}
        num_bytes = sum(file.stat().st_size for file in files)
    except (OSError, DecodeError) as error:
        raise ModelError(f"{path} is not an ONNX file with all its data; export it anew ({error})") from error
    blocks = tuple(_blocks(model.graph))
    if not blocks:
        raise ModelError(f"{path} has no transformer blocks; export it with layerflow-export onnx")
    return Graph(
        path=path,
        sha256=_sha256(hashes),
        num_bytes=num_bytes,
        precision=_precision(model.graph),
        inputs={
            value.name: tuple(size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim)
            for value in model.graph.input
        },
        blocks=blocks,
        fp8_products=_fp8_products(model.graph),
        content=_content(path, hashes),
    )


def _content(path: Path, hashes: Mapping[str, str]) -> str | None:
    """What the manifest beside `path` says, if it is the manifest of files with these hashes."""
    from layerflow_export.manifest import read_graph_manifest

    try:
        manifest = read_graph_manifest(path.parent)
    except ModelError:
        return None
    return manifest.content if hashes.items() <= manifest.sha256.items() else None


def _files(path: Path, model: ModelProto) -> list[Path]:
    """The file itself, then those its weights are in."""
    names = {
        entry.value for tensor in model.graph.initializer for entry in tensor.external_data if entry.key == "location"
    }
    return [path, *(path.parent / name for name in sorted(names))]


def _sha256(hashes: Mapping[str, str]) -> str:
    """One hash over all files, each by its own."""
    lines = (f"{name} {sha256}\n" for name, sha256 in hashes.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _precision(graph: GraphProto) -> str:
    from onnx import TensorProto

    names = {TensorProto.FLOAT: "fp32", TensorProto.FLOAT16: "fp16", TensorProto.BFLOAT16: "bf16"}
    sizes: Counter[Any] = Counter()
    for tensor in graph.initializer:
        sizes[tensor.data_type] += math.prod(tensor.dims)
    if TensorProto.FLOAT8E4M3FN in sizes:
        return FP8
    return names.get(sizes.most_common(1)[0][0], "mixed") if sizes else "mixed"


def _fp8_products(graph: GraphProto) -> int:
    weights = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    return sum(node.op_type == "MatMul" and node.input[1] in weights for node in graph.node)


def _blocks(graph: GraphProto) -> Iterator[Block]:
    attention: defaultdict[int, set[str]] = defaultdict(set)
    projections: defaultdict[int, dict[str, str]] = defaultdict(dict)  # to_q, to_k, to_v -> node
    for node in graph.node:
        for match in filter(None, map(_ATTENTION.search, _scopes(node))):
            index = int(match[1])
            attention[index].add(node.name)
            if match[2] and node.op_type in ("MatMul", "Gemm"):
                projections[index][match[2]] = node.name
    for index in sorted(attention):
        names = frozenset(projections[index].values())
        is_merged = len(projections[index]) == 3 and len(names) == 1
        yield Block(attention=frozenset(attention[index]), projections=names, is_merged=is_merged)


def _scopes(node: NodeProto) -> list[str]:
    written = next((entry.value for entry in node.metadata_props if entry.key == SCOPES), "[]")
    return [str(scope) for scope in ast.literal_eval(written)]
