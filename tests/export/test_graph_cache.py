"""A cached graph is that of exactly these weights and whole, or it is made again."""

from __future__ import annotations

import errno
import os

import pytest
import torch
from networks import network_of

from layerflow.errors import OutputError
from layerflow_export import graph_cache
from layerflow_export.graph_cache import MAX_GRAPHS, cached_graph
from layerflow_export.manifest import DATA, GRAPH, MANIFEST

pytestmark = pytest.mark.usefixtures("one_thread")


class Exporter:
    """Stands in for the exporter: takes a folder that is ready, and counts."""

    def __init__(self, ready):
        self.ready, self.made = ready, []

    def __call__(self, transformer, target, *, content):
        self.made.append(content)
        target.mkdir()
        for file in self.ready.iterdir():
            (target / file.name).write_bytes(file.read_bytes())
        manifest = target / MANIFEST
        old = graph_cache.read_graph_manifest(target).content
        manifest.write_text(manifest.read_text().replace(old, content))


@pytest.fixture
def exporter(tiny_graph, monkeypatch, tmp_path):
    monkeypatch.setenv("LAYERFLOW_CACHE", str(tmp_path / "cache"))
    exporter = Exporter(tiny_graph)
    monkeypatch.setattr(graph_cache, "export_onnx", exporter)
    return exporter


def test_the_same_weights_are_exported_once(tiny_model, exporter):
    first = cached_graph(network_of(tiny_model))
    assert cached_graph(network_of(tiny_model)) == first and exporter.made == [first.name]
    assert oct(first.parent.stat().st_mode)[-3:] == "700"


def test_other_weights_or_another_precision_are_another_graph(tiny_model, exporter):
    transformer = network_of(tiny_model)
    first = cached_graph(transformer)
    transformer.proj_out.bias.data[0] += 1e-3
    assert len({first, cached_graph(transformer), cached_graph(network_of(tiny_model, torch.float16))}) == 3


def test_another_version_is_another_graph(tiny_model, exporter, monkeypatch):
    first = cached_graph(network_of(tiny_model))
    monkeypatch.setattr("layerflow_export.manifest.version", lambda name: "0.0.1")
    assert cached_graph(network_of(tiny_model)) != first


@pytest.mark.parametrize("name", [GRAPH, DATA, MANIFEST])
def test_a_damaged_graph_is_made_again(tiny_model, exporter, name):
    folder = cached_graph(network_of(tiny_model))
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[:-9] + b"?" * 9)
    assert cached_graph(network_of(tiny_model)) == folder and len(exporter.made) == 2
    assert (folder / name).read_bytes() == whole
    (folder / name).unlink()
    assert cached_graph(network_of(tiny_model)) == folder and len(exporter.made) == 3


def test_a_foreign_graph_under_our_name_is_not_loaded(tiny_model, exporter):
    folder = cached_graph(network_of(tiny_model))
    manifest = folder / MANIFEST
    manifest.write_text(manifest.read_text().replace(folder.name, "0" * 64))
    cached_graph(network_of(tiny_model))
    assert len(exporter.made) == 2 and folder.name in manifest.read_text()


def test_what_was_not_used_for_longest_goes(tiny_model, exporter):
    transformer = network_of(tiny_model)
    folders = []
    for _ in range(MAX_GRAPHS + 2):
        transformer.proj_out.bias.data[0] += 1e-3
        folders.append(cached_graph(transformer))
        for past, folder in enumerate(reversed(folders)):
            if folder.exists():
                os.utime(folder / MANIFEST, (1e9 - past, 1e9 - past))
    assert [folder.exists() for folder in folders] == [False] * 2 + [True] * MAX_GRAPHS


def test_a_cache_that_cannot_be_written_is_a_sentence(tiny_model, exporter, monkeypatch, tmp_path):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(graph_cache, "export_onnx", full)
    with pytest.raises(OutputError, match=r"cannot be kept in .*; make room there or set LAYERFLOW_CACHE"):
        cached_graph(network_of(tiny_model))
    (tmp_path / "file").touch()
    monkeypatch.setenv("LAYERFLOW_CACHE", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="cannot be kept in"):
        cached_graph(network_of(tiny_model))
