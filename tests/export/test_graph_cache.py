"""A skeleton is in the package, in the cache and whole, or it is made."""

from __future__ import annotations

import errno
import os
import shutil

import pytest
import torch
from networks import network_of

from layerflow.errors import OutputError, RequestError
from layerflow_export import graph_cache
from layerflow_export.core import OPSETS
from layerflow_export.graph_cache import MAX_SKELETONS, find_skeleton
from layerflow_export.manifest import GRAPH, MANIFEST
from layerflow_export.skeleton import SHIPPED, export_skeleton, read_skeleton

pytestmark = pytest.mark.usefixtures("one_thread")


class Exporter:
    """Stands in for the exporter: copies a folder that is ready, and counts."""

    def __init__(self, ready):
        self.ready, self.made = ready, []

    def __call__(self, transformer, target):
        self.made.append(target)
        shutil.copytree(self.ready, target)
        return read_skeleton(target)


@pytest.fixture(scope="module")
def ready(released_model, tmp_path_factory):
    return export_skeleton(network_of(released_model), tmp_path_factory.mktemp("ready") / "released").path.parent


@pytest.fixture
def exporter(ready, monkeypatch, tmp_path):
    monkeypatch.setenv("LAYERFLOW_CACHE", str(tmp_path / "cache"))
    exporter = Exporter(ready)
    monkeypatch.setattr(graph_cache, "export_skeleton", exporter)
    return exporter


def found(transformer, **options):
    return find_skeleton(transformer, OPSETS[transformer.dtype], **options).path.parent


def test_one_form_is_exported_once_whatever_its_weights(released_model, exporter):
    transformer = network_of(released_model)
    first = found(transformer)
    transformer.proj_out.bias.data[0] += 1.0
    assert found(transformer) == first and exporter.made == [first]
    assert oct(first.parent.stat().st_mode)[-3:] == "700"


def test_another_precision_or_version_is_another_graph(released_model, exporter, monkeypatch):
    transformer = network_of(released_model)
    folders = {found(transformer), found(network_of(released_model, torch.float16))}
    monkeypatch.setattr("layerflow_export.manifest.version_of", lambda name: "0.0.1")
    assert len({*folders, found(transformer)}) == 3


def test_the_bundled_models_is_in_the_package(exporter):
    assert found(network_of("mini"), prepared=True).parent == SHIPPED and not exporter.made


def test_what_is_not_prepared_is_not_exported_where_that_was_asked(released_model, exporter):
    transformer = network_of(released_model)
    with pytest.raises(RequestError, match="is not exported yet; run once with --backend onnxruntime"):
        found(transformer, prepared=True)
    assert found(transformer) == found(transformer, prepared=True) and len(exporter.made) == 1


@pytest.mark.parametrize("name", [GRAPH, MANIFEST])
def test_a_damaged_graph_is_made_again(released_model, exporter, name):
    folder = found(network_of(released_model))
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[:-9] + b"?" * 9)
    assert found(network_of(released_model)) == folder and len(exporter.made) == 2
    assert (folder / name).read_bytes() == whole
    (folder / name).unlink()
    assert found(network_of(released_model)) == folder and len(exporter.made) == 3


def test_what_was_not_used_for_longest_goes(released_model, exporter, monkeypatch):
    transformer, folders = network_of(released_model), []
    for number in range(MAX_SKELETONS + 2):
        monkeypatch.setattr("layerflow_export.manifest.version_of", lambda name, number=number: f"0.0.{number}")
        folders.append(found(transformer))
        for past, folder in enumerate(reversed(folders)):
            if folder.exists():
                os.utime(folder / GRAPH, (1e9 - past, 1e9 - past))
    assert [folder.exists() for folder in folders] == [False] * 2 + [True] * MAX_SKELETONS


def test_a_cache_that_cannot_be_written_is_a_sentence(released_model, exporter, monkeypatch, tmp_path):
    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(graph_cache, "export_skeleton", full)
    with pytest.raises(OutputError, match=r"cannot be kept in .*; make room there or set LAYERFLOW_CACHE"):
        found(network_of(released_model))
    (tmp_path / "file").touch()
    monkeypatch.setenv("LAYERFLOW_CACHE", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="cannot be kept in"):
        found(network_of(released_model))
