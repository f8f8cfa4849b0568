"""Where the skeleton of a network is: in the package, in the cache folder, or made now."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from pathlib import Path

from filelock import FileLock

from layerflow.errors import OutputError, RequestError
from layerflow.models.cache import cache_path
from layerflow.transformer import LayerFlowTransformer
from layerflow_export.manifest import GRAPH, made_with
from layerflow_export.skeleton import SHIPPED, Skeleton, export_skeleton, read_skeleton, skeleton_key

MAX_SKELETONS = 16


def find_skeleton(transformer: LayerFlowTransformer, opset: int, *, prepared: bool = False) -> Skeleton:
    """The skeleton of `transformer`; unless the package or the cache has it, it is exported now, which takes seconds.

    A cached one is of exactly these versions of what makes graphs; one whose file is not what was written is made
    again. Two processes that want the same wait for each other. With `prepared` nothing is exported: RequestError.
    Raises OutputError when the cache cannot be written, ModelError where the exporter is missing.
    """
    key = skeleton_key(transformer, opset)
    if shipped := read_skeleton(SHIPPED / key[:16]):
        return shipped
    folder = cache_path() / "graphs" / key[:16] / _versions()
    if prepared and read_skeleton(folder) is None:
        raise RequestError("the graph for onnxruntime is not exported yet; run once with --backend onnxruntime")
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            skeleton = read_skeleton(folder) or _made_again(transformer, folder)
            os.utime(folder / GRAPH)
            _drop_oldest(cache_path() / "graphs")
    except (OSError, OutputError) as error:
        raise OutputError(
            f"the graph for onnxruntime cannot be kept in {folder.parent}; make room there or set LAYERFLOW_CACHE"
        ) from error
    return skeleton


def _versions() -> str:
    try:
        made = made_with()
    except ModuleNotFoundError:  # without the exporter nothing is made, and nothing found
        return "none"
    return hashlib.sha256(repr(sorted(made.items())).encode()).hexdigest()[:16]


def _made_again(transformer: LayerFlowTransformer, folder: Path) -> Skeleton:
    shutil.rmtree(folder, ignore_errors=True)
    return export_skeleton(transformer, folder)


def _drop_oldest(graphs: Path) -> None:
    """Removes all but those that were used last. What is being made has a hidden name and stays."""
    used = {graph.parent: graph.stat().st_mtime_ns for graph in graphs.glob(f"*/[!.]*/{GRAPH}")}
    for folder in sorted(used, key=used.__getitem__, reverse=True)[MAX_SKELETONS:]:
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)
