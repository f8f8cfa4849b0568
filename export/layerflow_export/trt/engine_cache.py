"""Engines kept in the cache folder, each under the hash of the transformer that it computes."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from layerflow.errors import ModelError, OutputError, RequestError
from layerflow.models.cache import cache_path
from layerflow.transformer import LayerFlowTransformer
from layerflow_export.core import OPSETS
from layerflow_export.manifest import GRAPH, content_hash
from layerflow_export.onnx_export import export_onnx
from layerflow_export.trt.build import Engine, build_engine, engine_path, named_targets
from layerflow_export.trt.flavour import Flavour, installed
from layerflow_export.trt.graph import FP8, Graph, read_graph
from layerflow_export.trt.profile import Profile, Range, as_texts
from layerflow_export.trt.report import checked_engine
from layerflow_export.trt.source import (
    BARE,
    DEFAULT_PRECISION,
    Merge,
    default_profile,
    graph_named,
    load_model,
    open_graph,
)

MAX_NETWORKS = 4  # one engine of the released models takes 3.4 GB
NAME = "model"  # what the folder is called says which


def engines_folder(content: str) -> Path:
    """Where the engines of the transformer with that `content_hash` are."""
    return cache_path() / "engines" / content


def engine_content(transformer: LayerFlowTransformer) -> str:
    """The hash under which the engines of exactly `transformer` are kept."""
    return content_hash(transformer, OPSETS[transformer.dtype])


def has_engines() -> bool:
    """Whether there is an engine of any network."""
    return any((cache_path() / "engines").glob("*/*.engine"))


def find_engine(content: str, *, precision: str, flavour: Flavour, target: str) -> Engine:
    """The engine built last of those that may be loaded here. Raises ModelError when there is none."""
    refusal = ModelError("there is no engine of this network here; build one with layerflow-export build MODEL")
    for path in sorted(engines_folder(content).glob("*.engine"), key=_age):
        try:
            report = checked_engine(path, flavour, target=target, content=content, precision=precision)
        except ModelError as error:
            refusal = error
        else:
            with contextlib.suppress(OSError):
                os.utime(path.parent)
            return Engine(path=path, report=report, cached=True)
    raise refusal


def build_source(
    text: str,
    *,
    precision: str | None,
    profile: dict[str, Range],
    targets: tuple[str, ...] = (),
    merge: Merge = BARE,
) -> Engine:
    """The engine of the source named `text` in the cache folder; built unless it is there.

    Raises as `open_source` and `build_engine` do, and RequestError for a graph whose model is not known.
    """
    path = graph_named(text, merge)
    if FP8 in (precision, path and read_graph(path).precision):
        raise RequestError("the backend tensorrt runs no fp8 engine yet, so none is kept in the cache; pass -o DIR")
    if path is None:
        model, transformer = load_model(text, precision or DEFAULT_PRECISION, merge)
        sizes = default_profile(transformer) | profile
        return cached_engine(
            transformer,
            engine_content(transformer),
            precision=precision or DEFAULT_PRECISION,
            profile=sizes,
            targets=targets,
            model_sha256=model.sha256,
        )
    source = open_graph(path, precision)
    if source.graph.content is None:
        raise RequestError(f"no manifest says which network {path} holds, so none would find its engine; pass -o DIR")
    with _alone(source.graph.content) as folder:
        sizes = source.profile | profile
        return build_engine(
            source.graph, folder, profile=sizes, targets=targets, name=NAME, model_sha256=source.model_sha256
        )


def cached_engine(
    transformer: LayerFlowTransformer,
    content: str,
    *,
    precision: str,
    profile: Profile,
    targets: tuple[str, ...],
    model_sha256: str | None = None,
) -> Engine:
    """The engine of exactly `transformer`, which is on the CPU and has that `content_hash`; built unless it is there.

    Two processes that want the same wait for each other. Raises as `build_engine` does.
    """
    flavour = installed()
    named = named_targets(flavour.checked_targets(targets))
    with _alone(content) as folder:
        path = engine_path(folder, NAME, precision=precision, targets=named)
        try:
            report = checked_engine(
                path, flavour, content=content, precision=precision, targets=named, profile=as_texts(profile)
            )
            return Engine(path=path, report=report, cached=True)
        except ModelError:
            pass  # it is not there, or stale
        with _graph_of(transformer, content, folder) as graph:
            return build_engine(graph, folder, profile=profile, targets=targets, name=NAME, model_sha256=model_sha256)


@contextmanager
def _graph_of(transformer: LayerFlowTransformer, content: str, folder: Path) -> Iterator[Graph]:
    """The graph of `transformer` in `folder`, for as long as an engine is built of it: it is as large as the engine."""
    graph = folder / "graph"
    shutil.rmtree(graph, ignore_errors=True)  # of a build that was killed
    try:
        export_onnx(transformer, graph, content=content)
        yield read_graph(graph / GRAPH)
    finally:
        shutil.rmtree(graph, ignore_errors=True)


@contextmanager
def _alone(content: str) -> Iterator[Path]:
    """The folder of a network's engines, which no other process writes to meanwhile. Those used last are kept."""
    folder = engines_folder(content)
    lock = FileLock(folder.with_suffix(".lock"))
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise OutputError(
            f"engines cannot be kept in {folder.parent} ({error.strerror}); make room there or set LAYERFLOW_CACHE"
        ) from error
    try:
        yield folder
        with contextlib.suppress(OSError):
            os.utime(folder)
        for unused in sorted(folder.parent.glob("*/"), key=_age)[MAX_NETWORKS:]:
            shutil.rmtree(unused, ignore_errors=True)
    finally:
        lock.release()


def _age(path: Path) -> float:
    """Seconds since `path` was made or used; of one that another process has taken away, more than any other's."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return math.inf
