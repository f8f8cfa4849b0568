"""Another set of LoRAs for a graph that is there already: only the weights that they change are written anew."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
import onnx_ir as ir
import torch
from torch import Tensor

from layerflow.errors import ModelError
from layerflow.models.building import building
from layerflow.models.folder import ModelFolder
from layerflow.models.hashes import file_sha256
from layerflow.models.network import load_transformer
from layerflow.models.places import DTYPES
from layerflow.models.shelf import find_model, list_models
from layerflow.transformer import LayerFlowTransformer
from layerflow_export.fp8 import export_fp8
from layerflow_export.manifest import (
    DATA,
    GRAPH,
    MANIFEST,
    GraphManifest,
    Origin,
    Weight,
    content_hash,
    read_graph_manifest,
)


@dataclass(frozen=True, kw_only=True)
class Refitted:
    """A graph with other LoRAs than the one it was made from."""

    manifest: GraphManifest
    num_changed: int  # weights that have other numbers than in the graph it was made from


def refit_graph(
    source: Path, target: Path, *, lora: Sequence[str] = (), motion: float = 0.0, model: str | None = None
) -> Refitted:
    """Makes the folder `target` of the graph in `source`: the same model with these LoRAs instead of those it has.

    Every weight is what `load_transformer` makes of the model's own and the LoRAs, so the result is that of an export,
    without one. Only a graph with layers in FP8 is exported again, the scales of what enters them as they were.
    `model` names the model's folder where its hash does not find it. Raises ModelError for a graph that is damaged,
    another model and LoRAs that do not fit, RequestError for motion without a Motion LoRA, OutputError.
    """
    manifest = read_graph_manifest(source)
    folder = base_model(source, manifest.origin, model)
    origin = Origin.of(folder, lora=lora, motion=motion)
    if damaged := manifest.damaged(source):
        raise ModelError(f"{source / damaged[0]} is not the file that was exported; export the model again")
    folder.check("transformer", "motion")
    with folder.loading():
        transformer = load_transformer(folder, dtype=DTYPES[manifest.precision], lora=lora, motion=motion)
    if manifest.largest_inputs:
        made = export_fp8(transformer, target, largest=manifest.largest_inputs, origin=origin)
        return Refitted(manifest=made, num_changed=_differing(source / GRAPH, target / GRAPH))
    _check_shared(transformer, manifest.weights)
    with building(target) as part:
        for name in (GRAPH, DATA):
            shutil.copyfile(source / name, part / name)
        num_changed = _write_weights(part, manifest.weights, transformer)
        refitted = replace(
            manifest,
            content=content_hash(transformer, manifest.opset, versions=manifest.versions),
            origin=origin,
            sha256={name: file_sha256(part / name) for name in (GRAPH, DATA)},
        )
        (part / MANIFEST).write_text(json.dumps(refitted.to_dict(), indent=1) + "\n", encoding="utf-8")
    return Refitted(manifest=refitted, num_changed=num_changed)


def _differing(one: Path, other: Path) -> int:
    """How many weights differ between two FP8 graphs of one form, where query, key and value are one."""
    before, after = (ir.load(path).graph.initializers for path in (one, other))
    return sum(
        value.const_value.tobytes() != before[name].const_value.tobytes()  # type: ignore[union-attr]
        for name, value in after.items()
        if not name.endswith("_scale")
    )


def base_model(source: Path, origin: Origin | None, model: str | None) -> ModelFolder:
    """The model that the graph in `source` was exported from: the one called `model`, or the one here with its hash.

    Raises ModelError when there is none.
    """
    if origin is None:
        raise ModelError(f"{source} does not say which model it is of; export that one with layerflow-export onnx")
    if model is None:
        for folder in list_models():
            if folder.sha256 == origin.model_sha256:
                return folder
        raise ModelError(f"the model {origin.model} that {source} was exported from is not here; name it with --model")
    folder = find_model(model)
    if folder.sha256 != origin.model_sha256:
        raise ModelError(
            f"{source} was exported from a model {origin.model} that is not the one in {folder.path}; "
            "name that one with --model, or export this one"
        )
    return folder


def _check_shared(transformer: LayerFlowTransformer, weights: Mapping[str, Weight]) -> None:
    """Raises ModelError when parameters that were equal, of which a graph holds one, no longer are."""
    first: dict[str, str] = {}
    for name, weight in weights.items():
        other = first.setdefault(weight.initializer, name)
        if not torch.equal(transformer.get_parameter(name), transformer.get_parameter(other)):
            raise ModelError(
                f"the graph holds {other} and {name} as one, which they are not with these LoRAs; "
                "export the model with --lora"
            )


def _write_weights(folder: Path, weights: Mapping[str, Weight], transformer: LayerFlowTransformer) -> int:
    """Writes the parameters that the graph in `folder` has other numbers for, in their places; how many they were."""
    inside: dict[str, bytes] = {}
    num_changed = 0
    with (folder / DATA).open("r+b") as data:
        for name, weight in weights.items():
            value = _stored(transformer.get_parameter(name), weight)
            if weight.offset is None:
                inside[weight.initializer] = value
                continue
            data.seek(weight.offset)
            if data.read(weight.length) != value:
                data.seek(weight.offset)
                data.write(value)
                num_changed += 1
    return num_changed + _write_inside(folder / GRAPH, inside)


def _write_inside(path: Path, values: Mapping[str, bytes]) -> int:
    """The same for the weights that are so small that they are in the graph's own file."""
    graph = onnx.load(path, load_external_data=False)
    changed = [each for each in graph.graph.initializer if values.get(each.name, each.raw_data) != each.raw_data]
    for tensor in changed:
        tensor.raw_data = values[tensor.name]
    if changed:
        path.write_bytes(graph.SerializeToString())
    return len(changed)


def _stored(value: Tensor, weight: Weight) -> bytes:
    """The bytes of a parameter as the graph has them."""
    stored = value.detach().T if weight.transposed else value.detach()
    assert tuple(stored.shape) == weight.shape
    return stored.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
