"""What an engine is built of, as the command line names it: an exported graph, or a model, which is exported first."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from layerflow.errors import ModelError, RequestError
from layerflow_export.trt.graph import FP8, PRECISIONS, Graph, read_graph
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


@dataclass(frozen=True, kw_only=True)
class Merge:
    """What is merged into a model's weights before its graph is made, as a request names it."""

    lora: tuple[str, ...] = ()
    motion: float = 0.0


BARE = Merge()


def open_source(text: str, *, folder: Path, precision: str | None, merge: Merge = BARE) -> Source:
    """The source named `text`: a file, a folder of `layerflow-export onnx`, or a model, whose graph goes into `folder`.

    Raises ModelError when there is none, RequestError for a graph that is not in `precision` or is to be merged with.
    """
    path = graph_named(text, merge)
    return open_graph(path, precision) if path else _export(text, folder, precision or DEFAULT_PRECISION, merge)


def graph_named(text: str, merge: Merge = BARE) -> Path | None:
    """The ONNX file that `text` names, itself or by its folder; None where it names something else, such as a model.

    Raises RequestError where there is one and something to `merge`.
    """
    from layerflow_export.manifest import GRAPH

    path = next((path for path in (Path(text), Path(text, GRAPH)) if path.is_file()), None)
    if path and merge != BARE:
        raise RequestError(
            f"{path} is a graph already; give it other LoRAs with layerflow-export refit, or name a model"
        )
    return path


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
    if (origin := manifest.origin) is None:
        return Source(name=path.stem, graph=graph, model_sha256=None, profile={})
    profile = _profile_of(origin.model_sha256)
    return Source(name=origin.model, graph=graph, model_sha256=origin.model_sha256, profile=profile)


def _profile_of(model_sha256: str) -> dict[str, Range]:
    """The sizes of the model with that hash; nothing where it is not here."""
    import torch

    from layerflow.models.shelf import list_models
    from layerflow.transformer import LayerFlowTransformer

    for folder in list_models():
        if folder.sha256 == model_sha256:
            with folder.loading(), torch.device("meta"):
                config = LayerFlowTransformer.load_config(folder.path / "transformer", local_files_only=True)
                return default_profile(LayerFlowTransformer.from_config(config))
    return {}


def _export(text: str, folder: Path, precision: str, merge: Merge) -> Source:
    from layerflow_export.calibration import calibrate
    from layerflow_export.core import OPSETS
    from layerflow_export.fp8 import export_fp8, fp8_content
    from layerflow_export.manifest import GRAPH, Origin, content_hash
    from layerflow_export.onnx_export import export_onnx

    model, transformer = load_model(text, precision, merge)
    target = folder / f"{model.manifest.name}.{precision}.onnx"
    content = content_hash(transformer, OPSETS[transformer.dtype])
    if not _is_current(target, fp8_content(content) if precision == FP8 else content):
        shutil.rmtree(target, ignore_errors=True)
        origin = Origin.of(model, lora=merge.lora, motion=merge.motion)
        if precision == FP8:
            largest = calibrate(model, lora=merge.lora, motion=merge.motion)
            export_fp8(transformer, target, largest=largest, origin=origin, content=content)
        else:
            export_onnx(transformer, target, origin=origin, content=content)
    return Source(
        name=model.manifest.name,
        graph=read_graph(target / GRAPH),
        model_sha256=model.sha256,
        profile=default_profile(transformer),
    )


def load_model(text: str, precision: str, merge: Merge) -> tuple[ModelFolder, LayerFlowTransformer]:
    """The model named `text` and its transformer on the CPU, merged. Raises as `load_transformer` does."""
    from layerflow.models.network import load_transformer
    from layerflow.models.places import DTYPES
    from layerflow.models.shelf import find_model

    model = find_model(text)
    model.check("transformer", "motion")
    dtype = DTYPES[PRECISIONS[precision]]
    with model.loading():
        return model, load_transformer(model, dtype=dtype, lora=merge.lora, motion=merge.motion)


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
    rows, columns, text_tokens = config.position_rows, config.position_columns, config.text_tokens
    return {
        "batch": Range(minimum=1, optimum=2, maximum=2),
        "frames": Range(minimum=1, optimum=frames, maximum=frames),
        "rows": Range(minimum=rows, optimum=rows, maximum=rows),
        "columns": Range(minimum=columns, optimum=columns, maximum=columns),
        "text_tokens": Range(minimum=1, optimum=text_tokens, maximum=text_tokens),
    }
