"""Other LoRAs for a real engine: TensorRT-RTX builds it again of a graph with the LoRAs, for what it was for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from loras import random_lora, write_diffusers
from networks import network_of

from layerflow_export.cli.app import run
from layerflow_export.manifest import GRAPH, read_graph_manifest
from layerflow_export.refit import refit_graph
from layerflow_export.refit_engine import targets_of
from layerflow_export.trt.build import Engine, build_engine
from layerflow_export.trt.flavour import Flavour, installed
from layerflow_export.trt.graph import read_graph
from layerflow_export.trt.profile import parse_profile
from layerflow_export.trt.report import checked_engine, read_report

pytest.importorskip("tensorrt_rtx", reason="there is no TensorRT-RTX for this platform")
pytestmark = [
    pytest.mark.skipif(installed().name != "tensorrt_rtx", reason="the full TensorRT needs a GPU"),
    pytest.mark.usefixtures("one_thread"),
]

SIZES = ("batch=1/2/2", "frames=1/2/4", "rows=2/4/6", "columns=2/4/6", "text_tokens=1/24/48")


@pytest.fixture(scope="module")
def engine(fp16_graph: Path, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """An engine with its graph beside it, as `build` leaves them."""
    folder = tmp_path_factory.mktemp("engines")
    graph = shutil.copytree(fp16_graph, folder / "tiny.fp16.onnx")
    return build_engine(
        read_graph(graph / GRAPH), folder, profile=parse_profile(SIZES), targets=("sm86", "sm89"), name="released-rgba"
    )


@pytest.fixture(scope="module")
def lora(released_model: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"{write_diffusers(tmp_path_factory.mktemp('lora'), random_lora(network_of(released_model)))}:0.03"


def refit_line(source: Path, folder: Path, model: Path, lora: str) -> list[str]:
    return ["refit", str(source), "-o", str(folder), "--model", str(model), "--lora", lora, "--json"]


def test_an_engine_is_built_again_of_the_merged_graph(engine, released_model, lora, tmp_path, capsys):
    folder = tmp_path / "with lora"
    assert run(refit_line(engine.path, folder, released_model, lora)) == 0
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert printed["way"] == "rebuilt" and printed["changed"] == 6
    graph = folder / "tiny.fp16.onnx"
    refit_graph(engine.path.parent / graph.name, tmp_path / "alone", lora=[lora], model=str(released_model))
    assert read_graph_manifest(graph) == read_graph_manifest(tmp_path / "alone")
    report = checked_engine(folder / engine.path.name, installed())
    assert printed["path"] == str(folder / engine.path.name) and report.onnx_sha256 == read_graph(graph / GRAPH).sha256
    assert report.onnx_sha256 != engine.report.onnx_sha256 and report.engine_sha256 != engine.report.engine_sha256
    same = ("precision", "targets", "profile", "num_blocks", "attention_fused", "qkv_merged", "builder_version")
    assert [getattr(report, name) for name in same] == [getattr(engine.report, name) for name in same]
    assert {path.name for path in folder.iterdir()} == {path.name for path in engine.path.parent.iterdir()}


def test_without_its_graph_it_says_what_to_do(engine, released_model, lora, tmp_path, capsys):
    alone = tmp_path / "alone"
    alone.mkdir()
    for path in engine.path.parent.glob("*.engine*"):
        shutil.copy(path, alone)
    assert run(refit_line(alone / engine.path.name, tmp_path / "out", released_model, lora)) == 5
    sentence = f"no folder in {alone} holds the graph of {engine.path.name}; refit the graph and build that"
    assert json.loads(capsys.readouterr().out)["error"] == sentence and not (tmp_path / "out").exists()


def test_what_is_no_engine_is_a_sentence(released_model, lora, tmp_path, capsys):
    assert run(refit_line(tmp_path / "no.engine", tmp_path / "out", released_model, lora)) == 5
    assert "has no readable report beside it; build it with layerflow-export build" in capsys.readouterr().err


def test_a_stopped_build_leaves_nothing(engine, released_model, lora, tmp_path, monkeypatch):
    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("layerflow_export.refit_engine.build_engine", stop)
    assert run(refit_line(engine.path, tmp_path / "out", released_model, lora)) == 130
    assert not list(tmp_path.iterdir())


def test_a_gpu_without_a_name_is_the_one_that_is_here(engine):
    report = read_report(engine.path)
    assert targets_of(report, installed()) == ("sm86", "sm89")
    assert targets_of(report, Flavour(name="tensorrt", version="11.4", targets=())) == ("current",)
