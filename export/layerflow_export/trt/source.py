"""What an engine is built of, as the command line names it: an exported graph, or a model, which is exported first."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from layerflow.errors import ModelError, RequestError
from layerflow_export.trt.graph import PRECISIONS, Graph, read_graph
from layerflow_export.trt.profile import Range

if TYPE_CHECKING:
    from layerflow.models.folder import ModelFolder
    from layerflow.transformer import LayerFlowTransformer
    from layerflow_export.manifest import GraphManifest

DEFAULT_PRECISION = "bf16"


@dataclass(frozen=True, kw_only=True)
class Source:
    """A graph, and what is known of the model it came from."""

    name: str
    graph: Graph
    model_sha256: str | None
    profile: dict[str, Range]  # the model's own sizes; empty where only the graph is there


def open_source(text: str, *, folder: Path, precision: str | None) -> Source:
    """The source named `text`: a file, a folder of `layerflow-export onnx`, or a model, whose graph goes into `folder`.

    Raises ModelError when there is none, RequestError for a graph that is not in `precision`.
    """
    path = graph_named(text)
    return open_graph(path, precision) if path else _export(text, folder, precision or DEFAULT_PRECISION)


def graph_named(text: str) -> Path | None:
    """The ONNX file that `text` names, itself or by its folder; None where it names something else, such as a model."""
    from layerflow_export.manifest import GRAPH

    return next((path for path in (Path(text), Path(text, GRAPH)) if path.is_file()), None)


def open_graph(path: Path, precision: str | None) -> Source:
    """The source in that ONNX file. Raises as `open_source` does."""
    from layerflow_export.manifest import GRAPH, MANIFEST, read_graph_manifest

    graph = read_graph(path)
    if precision not in (None, graph.precision):
        raise RequestError(f"{path} is in {graph.precision}, not {precision}; export it in that precision")
    if path.name != GRAPH or not path.with_name(MANIFEST).exists():
        return Source(name=path.stem, graph=graph, model_sha256=None, profile={})
    manifest = read_graph_manifest(path.parent)
    if damaged := manifest.damaged(path.parent):
        raise ModelError(f"{path.with_name(damaged[0])} is not the file that was exported; export the model again")
    origin = manifest.origin
    return Source(
        name=origin.model if origin else path.stem,
        graph=graph,
        model_sha256=origin.model_sha256 if origin else None,
        profile={},
    )


def _export(text: str, folder: Path, precision: str) -> Source:
    from layerflow_export.core import OPSETS
    from layerflow_export.manifest import GRAPH, Origin, content_hash
    from layerflow_export.onnx_export import export_onnx

    model, transformer = load_model(text, precision)
    target = folder / f"{model.manifest.name}.{precision}.onnx"
    content = content_hash(transformer, OPSETS[transformer.dtype])
    if not _is_current(target, content):
        shutil.rmtree(target, ignore_errors=True)
        origin = Origin(model=model.manifest.name, model_sha256=model.sha256)
        export_onnx(transformer, target, origin=origin, content=content)
    return Source(
        name=model.manifest.name,
        graph=read_graph(target / GRAPH),
        model_sha256=model.sha256,
        profile=default_profile(transformer),
    )


def load_model(text: str, precision: str) -> tuple[ModelFolder, LayerFlowTransformer]:
    """The model named `text` and its transformer on the CPU. Raises ModelError."""
    from layerflow.models.network import load_transformer
    from layerflow.models.places import DTYPES
    from layerflow.models.shelf import find_model

    model = find_model(text)
    model.check("transformer")
    with model.loading():
        return model, load_transformer(model, dtype=DTYPES[PRECISIONS[precision]])


def _is_current(target: Path, content: str) -> bool:
    from layerflow_export.manifest import read_graph_manifest

    try:
        manifest: GraphManifest = read_graph_manifest(target)
    except ModelError:
        return False
    return manifest.content == content and not manifest.damaged(target)


def default_profile(transformer: LayerFlowTransformer) -> dict[str, Range]:
    """The sizes the model was made for: its own picture, up to its own length and text, with and without guidance."""
    from layerflow_export.core import frames_per_step

    config = transformer.config
    frames = config.position_frames // frames_per_step(transformer)
    return {
        "batch": Range(minimum=1, optimum=2, maximum=2),
        "frames": Range(minimum=1, optimum=frames, maximum=frames),
        "rows": Range(minimum=config.position_rows, optimum=config.position_rows, maximum=config.position_rows),
        "columns": Range(
            minimum=config.position_columns, optimum=config.position_columns, maximum=config.position_columns
        ),
        "text_tokens": Range(minimum=1, optimum=config.text_tokens, maximum=config.text_tokens),
    }
