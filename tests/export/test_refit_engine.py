"""Other LoRAs for a real engine: TensorRT-RTX builds it again of a graph with the LoRAs, for what it was for."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from loras import random_lora, write_diffusers
from networks import network_of

from layerflow_export.cli.app import run
from layerflow_export.manifest import GRAPH, read_graph_manifest
from layerflow_export.refit import refit_graph
from layerflow_export.refit_engine import refit_engine, targets_of
from layerflow_export.trt import refit as at_runtime
from layerflow_export.trt.build import Engine, build_engine, write_report
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
    sentence = f"no folder in {alone} holds the graph of {engine.path.name}; build the model with --lora"
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


@pytest.fixture
def refittable(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """A copy of the engine that says it can be refitted, on a machine with a GPU it is for."""
    folder = shutil.copytree(engine.path.parent, tmp_path / "refittable")
    report = replace(engine.report, refittable=True)
    write_report(folder / engine.path.name, report)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda: (8, 9))
    return Engine(path=folder / engine.path.name, report=report, cached=True)


def test_where_the_runtime_can_the_engine_gets_the_weights(refittable, released_model, lora, tmp_path, monkeypatch):
    jobs = []

    def worker(command, *, input, **options):
        jobs.append((command[-1], json.loads(input)))
        shutil.copyfile(jobs[-1][1]["source"], jobs[-1][1]["engine"])
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", worker)
    made = refit_engine(refittable.path, tmp_path / "out", lora=[lora], model=str(released_model))
    ((module, job),) = jobs
    assert made.way == "refitted" and module == "layerflow_export.trt.refit"
    assert job["onnx"] == str(tmp_path / "out" / "tiny.fp16.onnx" / GRAPH) and job["source"] == str(refittable.path)
    report = checked_engine(tmp_path / "out" / refittable.path.name, installed())
    merged = read_graph(Path(job["onnx"]))
    assert (report.onnx_sha256, report.content) == (merged.sha256, merged.content)
    assert report.content == made.graph.manifest.content != refittable.report.content
    assert report.key != refittable.report.key and report.refittable and report.num_blocks == 2


def test_where_the_runtime_cannot_it_is_built(refittable, released_model, lora, tmp_path, monkeypatch):
    built = []

    def build(graph, folder, **options):
        built.append(options)
        return refittable

    monkeypatch.setattr("layerflow_export.refit_engine.build_engine", build)
    made = refit_engine(refittable.path, tmp_path / "out", lora=[lora], model=str(released_model))  # no driver is here
    assert made.way == "rebuilt" and built[0]["refittable"] and built[0]["targets"] == ("sm86", "sm89")
    assert built[0]["name"] == "released-rgba"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["tiny.fp16.onnx"]


class FullTensorRT:
    """As much of TensorRT as a refit takes: an engine of one number, which the graph's file holds."""

    SerializationFlag = SimpleNamespace(INCLUDE_REFIT="include refit")

    def __init__(self, *, refittable: bool, accepts: bool = True) -> None:
        self.engine = SimpleNamespace(
            refittable=refittable,
            number=b"old",
            create_serialization_config=lambda: SimpleNamespace(set_flag=self._keep),
            serialize_with_config=lambda serialization: self.engine.number + self.kept,
        )
        self.accepts, self.kept = accepts, b""

    def Runtime(self, logger):  # noqa: N802 - TensorRT's name
        return SimpleNamespace(deserialize_cuda_engine=lambda plan: self.engine if plan == b"plan" else None)

    def Refitter(self, engine, logger):  # noqa: N802
        return SimpleNamespace(refit_cuda_engine=lambda: self.accepts)

    def OnnxParserRefitter(self, refitter, logger):  # noqa: N802
        return SimpleNamespace(refit_from_file=self._take)

    def _take(self, path: str) -> bool:
        self.engine.number = Path(path).read_bytes()
        return True

    def _keep(self, flag: str) -> None:
        self.kept = f", {flag}".encode()


@pytest.mark.parametrize(
    ("trt", "plan", "engine"),
    [
        (FullTensorRT(refittable=True), b"plan", b"new, include refit"),
        (FullTensorRT(refittable=False), b"plan", None),
        (FullTensorRT(refittable=True, accepts=False), b"plan", None),
        (FullTensorRT(refittable=True), b"no plan", None),
    ],
)
def test_weights_are_replaced_where_tensorrt_takes_them(trt, plan, engine, tmp_path):
    (tmp_path / "source").write_bytes(plan)
    (tmp_path / "onnx").write_bytes(b"new")
    job = {"source": str(tmp_path / "source"), "onnx": str(tmp_path / "onnx")}
    assert at_runtime.replaced(trt, job, logger=None) == engine


def test_what_can_be_refitted_is_built_on_a_gpu_and_named(fp16_graph, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    sizes = [argument for size in SIZES for argument in ("--profile", size)]
    line = ["build", str(fp16_graph), "--refittable", *sizes]
    assert run([*line, "-o", str(tmp_path)]) == 2 and not list(tmp_path.iterdir())
    assert "is built on an NVIDIA GPU only; leave --refittable out" in capsys.readouterr().err
    assert run(line) == 2
    assert "is that of its weights and no others; pass -o DIR too" in capsys.readouterr().err


def test_a_gpu_without_a_name_is_the_one_that_is_here(engine):
    report = read_report(engine.path)
    assert targets_of(report, installed()) == ("sm86", "sm89")
    assert targets_of(report, Flavour(name="tensorrt", version="11.4", targets=())) == ("current",)
