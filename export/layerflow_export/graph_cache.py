"""Graphs kept in the cache folder, each under the hash of all that decides it."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from filelock import FileLock

from layerflow.errors import ModelError, OutputError
from layerflow.models.cache import cache_path
from layerflow.transformer import LayerFlowTransformer
from layerflow_export.manifest import MANIFEST, content_hash, read_graph_manifest
from layerflow_export.onnx_export import OPSETS, export_onnx

MAX_GRAPHS = 4  # of the released models one is 3.4 GB in halves and 6.8 GB in float32


def cached_graph(transformer: LayerFlowTransformer) -> Path:
    """The folder of the graph of exactly `transformer`, which is on the CPU; exported now unless it is there and whole.

    A graph of other numbers, precision or versions has another name, and one whose files are not those that were
    written is made again. Two processes that want the same wait for each other. Raises OutputError.
    """
    content = content_hash(transformer, OPSETS[transformer.dtype])
    folder = cache_path() / "onnx" / content
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if not _is_whole(folder, content):
                shutil.rmtree(folder, ignore_errors=True)
                export_onnx(transformer, folder, content=content)
            os.utime(folder / MANIFEST)
            _drop_oldest(folder.parent)
    except (OSError, OutputError) as error:
        raise OutputError(
            f"the graph for onnxruntime cannot be kept in {folder.parent}; make room there or set LAYERFLOW_CACHE"
        ) from error
    return folder


def _is_whole(folder: Path, content: str) -> bool:
    try:
        manifest = read_graph_manifest(folder)
    except ModelError:
        return False
    return manifest.content == content and not manifest.damaged(folder)


def _drop_oldest(graphs: Path) -> None:
    """Removes all but the graphs that were used last. What is being made has a hidden name and stays."""
    used = {manifest.parent: manifest.stat().st_mtime_ns for manifest in graphs.glob(f"[!.]*/{MANIFEST}")}
    for folder in sorted(used, key=used.__getitem__, reverse=True)[MAX_GRAPHS:]:
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)
