"""The transformer's graph without its numbers: one for all weights of a form, which a runtime is given from memory.

What decides it is the network's configuration, its number type and the opset. It takes 150 KB, a LoRA needs no other,
and the one of the bundled model comes with the package.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from layerflow.errors import ModelError
from layerflow.models.building import building
from layerflow.models.hashes import file_sha256
from layerflow.models.network import NO_TABLES
from layerflow.transformer import LayerFlowTransformer
from layerflow_export.core import OPSETS
from layerflow_export.manifest import GRAPH, MANIFEST

FORMAT = 1
ABSENT = "weights"  # the file where the graph says its numbers are; there is none
SHIPPED = Path(__file__).parent / "graphs"
# What the core of the network does not see: the tables around it, and names.
_OUTSIDE = ("text_tokens", "position_", "trained_positions", "has_layer_embedding", "has_given_embedding", "_")


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """A graph and the parameters it asks for: each is an initializer of the same name."""

    path: Path
    plain: tuple[str, ...]  # as torch has them
    transposed: tuple[str, ...]  # [in, out], where torch has [out, in]

    def tensors(self, transformer: LayerFlowTransformer) -> Iterator[tuple[str, torch.Tensor]]:
        """Every initializer's name and its numbers, contiguous and on the CPU; the plain ones are not copied there."""
        for name in self.plain:
            yield name, transformer.get_parameter(name).detach().cpu().contiguous()
        for name in self.transposed:
            yield name, transformer.get_parameter(name).detach().cpu().t().contiguous()


def skeleton_key(transformer: LayerFlowTransformer, opset: int) -> str:
    """One hash for all that decides the skeleton but the versions of what makes it."""
    config = {name: value for name, value in dict(transformer.config).items() if not name.startswith(_OUTSIDE)}
    decides = {"config": config, "dtype": str(transformer.dtype), "opset": opset, "format": FORMAT}
    return hashlib.sha256(json.dumps(decides, sort_keys=True, default=str).encode()).hexdigest()


def read_skeleton(folder: Path) -> Skeleton | None:
    """The skeleton in `folder`, or None when there is none or it is not as it was written."""
    try:
        said = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if file_sha256(folder / GRAPH) != said["sha256"]:
            return None
        return Skeleton(path=folder / GRAPH, plain=tuple(said["plain"]), transposed=tuple(said["transposed"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def export_skeleton(transformer: LayerFlowTransformer, folder: Path) -> Skeleton:
    """Writes the skeleton of `transformer` into the new folder `folder`; the folder is whole or not there.

    Takes as much memory again as the network. Raises ModelError where the exporter is missing, OutputError.
    """
    try:
        import onnx_ir as ir

        from layerflow_export.onnx_export import name_weights, to_graph
    except ModuleNotFoundError as error:
        raise ModelError(f"{error.name} is not installed; pip install 'layerflow[export]'") from error
    shell = _shell(transformer)
    graph = to_graph(shell, OPSETS[transformer.dtype])
    stored = name_weights(graph, shell)
    for parameter, (name, _) in stored.items():
        assert name == parameter, f"{parameter} shares {name}"
        _empty(ir, graph.graph.initializers[name])
    _strip(graph)
    with building(folder) as part:
        ir.save(graph, part / GRAPH)
        skeleton = Skeleton(
            path=folder / GRAPH,
            plain=tuple(name for name, (_, transposed) in stored.items() if not transposed),
            transposed=tuple(name for name, (_, transposed) in stored.items() if transposed),
        )
        said = {"sha256": file_sha256(part / GRAPH), **asdict(skeleton)}
        del said["path"]
        (part / MANIFEST).write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    return skeleton


def _shell(transformer: LayerFlowTransformer) -> LayerFlowTransformer:
    """The same network with random numbers: of equal ones the exporter would keep one."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(transformer.dtype)
    try:
        shell: LayerFlowTransformer = LayerFlowTransformer.from_config({**transformer.config, **NO_TABLES})
    finally:
        torch.set_default_dtype(before)
    generator = torch.Generator().manual_seed(0)
    for weight in shell.requires_grad_(False).parameters():
        weight.normal_(generator=generator)
    shell.eval()
    return shell


def _empty(ir: Any, value: Any) -> None:
    """Leaves of an initializer its type and shape."""
    numbers = value.const_value
    value.const_value = ir.ExternalTensor(
        ABSENT, 0, numbers.nbytes, numbers.dtype, shape=numbers.shape, name=value.name, base_dir=""
    )


def _strip(graph: Any) -> None:
    """Takes out what the exporter wrote for those who debug it: five parts in six of the file."""
    graph.metadata_props.clear()
    graph.graph.metadata_props.clear()
    for node in graph.graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
