"""Real engines, built by TensorRT-RTX without a GPU: fused, for whom they were asked for, built once; or not there."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from layerflow.errors import ModelError, RequestError
from layerflow_export.cli.app import run
from layerflow_export.trt import build as building
from layerflow_export.trt.build import build_engine
from layerflow_export.trt.flavour import installed
from layerflow_export.trt.graph import read_graph
from layerflow_export.trt.header import read_header
from layerflow_export.trt.profile import parse_profile
from layerflow_export.trt.report import checked_engine, report_path

pytest.importorskip("tensorrt_rtx", reason="there is no TensorRT-RTX for this platform")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(installed().name != "tensorrt_rtx", reason="the full TensorRT needs a GPU"),
]

SIZES = ("batch=1/2/2", "frames=1/2/4", "rows=2/4/6", "columns=2/4/6", "text_tokens=1/24/48")
PROFILE = parse_profile(SIZES)
OPTIONS = [argument for size in SIZES for argument in ("--profile", size)]


def built(graph, folder, **options):
    return build_engine(read_graph(graph / "model.onnx"), folder, profile=PROFILE, **options)


@pytest.fixture(scope="module")
def fp16_engine(fp16_graph, tmp_path_factory):
    return built(fp16_graph, tmp_path_factory.mktemp("engines"), targets=("sm120", "sm86"))


@pytest.fixture
def own_engine(fp16_engine, tmp_path):
    """A copy to do harm to."""
    shutil.copytree(fp16_engine.path.parent, tmp_path / "engines")
    return tmp_path / "engines" / fp16_engine.path.name


@pytest.fixture
def no_builder(monkeypatch):
    """Fails a test that builds."""

    def refuse(*arguments, **options):
        raise AssertionError("it was built")

    monkeypatch.setattr(subprocess, "run", refuse)


def test_a_float16_graph_is_fused_for_the_targets_asked_for(fp16_engine):
    report = fp16_engine.report
    assert (report.num_blocks, report.attention_fused, report.qkv_merged, report.unmerged_qkv) == (2, 2, 2, ())
    assert report.precision == "fp16" and report.targets == ("sm86", "sm120") and not fp16_engine.cached
    assert read_header(fp16_engine.path).targets == ("sm86", "sm120")
    assert read_header(fp16_engine.path).version == report.builder_version == installed().version
    assert report.engine_bytes == fp16_engine.path.stat().st_size
    assert report.weights_bytes > 50_000 and report.activation_bytes > 0 and report.num_layers > 20


@pytest.mark.long
def test_a_bfloat16_graph_of_the_bundled_form_is_fused(bf16_graph, tmp_path):
    report = built(bf16_graph, tmp_path, targets=("sm89",)).report
    assert (report.num_blocks, report.attention_fused, report.qkv_merged) == (2, 2, 2)
    assert report.precision == "bf16" and report.targets == ("sm89",)


def test_an_unfused_graph_is_refused_and_leaves_the_log_alone(released_graph, tmp_path):
    with pytest.raises(ModelError, match=r"attention is not one kernel in blocks 0, 1 of 2.*--precision bf16 or fp16"):
        built(released_graph, tmp_path)
    (log,) = tmp_path.iterdir()
    assert log.name.endswith(".engine.log") and "LayerType" in log.read_text(encoding="utf-8")


def test_of_a_graph_that_the_builder_refuses_the_log_says_why(released_graph, tmp_path, monkeypatch):
    graph = read_graph(released_graph / "model.onnx")
    with pytest.raises(
        ModelError, match=r"cannot be built \(.*input tensor latents has 5 dimensions.*\); export .*, or read .*\.log"
    ):
        sizes = parse_profile(["batch=1", "frames=2", "rows=2", "columns=2", "text_tokens=3"])
        monkeypatch.setattr(building, "shapes", lambda inputs, profile: {"latents": [[1], [1], [1]]})
        build_engine(graph, tmp_path, profile=sizes)
    (log,) = tmp_path.iterdir()
    assert "ERROR: " in log.read_text(encoding="utf-8")


def test_a_build_that_succeeds_takes_the_log_of_one_that_failed_away(fp16_graph, tmp_path):
    log = tmp_path / "model.fp16.sm89.engine.log"
    log.write_text("of the last time")
    engine = built(fp16_graph, tmp_path, targets=("sm89",))
    assert sorted(tmp_path.iterdir()) == [engine.path, report_path(engine.path)]


def test_a_stopped_build_leaves_nothing(fp16_graph, tmp_path, monkeypatch):
    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "run", stop)
    with pytest.raises(KeyboardInterrupt):
        built(fp16_graph, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_same_again_is_not_built_again(fp16_graph, fp16_engine, no_builder):
    again = built(fp16_graph, fp16_engine.path.parent, targets=("sm86", "sm120"))
    assert again.cached and again.report == fp16_engine.report and again.path == fp16_engine.path


def test_other_sizes_are_built_anew(fp16_graph, fp16_engine, own_engine):
    graph = read_graph(fp16_graph / "model.onnx")
    profile = PROFILE | parse_profile(["frames=1/2/8"])
    other = build_engine(graph, own_engine.parent, profile=profile, targets=("sm86", "sm120"))
    assert not other.cached and other.path == own_engine and other.report.key != fp16_engine.report.key
    with pytest.raises(ModelError, match="of another model or with other settings"):
        checked_engine(own_engine, installed(), key=fp16_engine.report.key)


def test_other_weights_are_built_anew(fp16_graph, fp16_engine, own_engine, tmp_path):
    other = shutil.copytree(fp16_graph, tmp_path / "graph")
    data = other / "model.onnx.data"
    data.write_bytes(data.read_bytes()[:-2] + b"\x00\x3c")
    engine = built(other, own_engine.parent, targets=("sm86", "sm120"))
    assert not engine.cached and engine.report.onnx_sha256 != fp16_engine.report.onnx_sha256


def test_a_damaged_engine_is_built_anew(fp16_graph, own_engine):
    own_engine.write_bytes(own_engine.read_bytes()[:-1] + b"\xff")
    assert not built(fp16_graph, own_engine.parent, targets=("sm86", "sm120")).cached


def test_the_command_line_exports_builds_and_inspects(released_model, tmp_path, capsys):
    line = ["build", str(released_model), "-o", str(tmp_path), "--precision", "fp16", "--target", "sm89", "--json"]
    assert run(line) == 0
    values = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (values["num_blocks"], values["attention_fused"], values["qkv_merged"]) == (2, 2, 2)
    assert values["targets"] == ["sm89"] and values["precision"] == "fp16" and not values["cached"]
    assert len(values["model_sha256"]) == 64 and values["model_sha256"] != values["onnx_sha256"]
    assert run(line) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["cached"]
    assert run(["inspect", values["path"]]) == 0
    assert "attention_fused: 2\n" in capsys.readouterr().out


def test_a_graph_in_another_precision_is_refused(fp16_graph, tmp_path, capsys):
    assert run(["build", str(fp16_graph), "-o", str(tmp_path), "--precision", "bf16", *OPTIONS]) == 2
    assert "model.onnx is in fp16, not bf16; export it in that precision" in capsys.readouterr().err


def test_the_gpu_that_is_here_needs_to_be_here(fp16_graph, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(RequestError, match="--target current needs an NVIDIA GPU"):
        built(fp16_graph, tmp_path, targets=("current",))
    assert not list(tmp_path.iterdir())


def test_a_damaged_export_is_refused(fp16_graph, tmp_path, capsys):
    folder = shutil.copytree(fp16_graph, tmp_path / "graph")
    (folder / "model.onnx.data").write_bytes(b"")
    assert run(["build", str(folder), "-o", str(tmp_path / "engines"), *OPTIONS]) == 5
    assert "model.onnx.data is not the file that was exported; export the model again" in capsys.readouterr().err


def test_a_report_is_written_beside_the_engine(fp16_engine):
    values = json.loads(report_path(fp16_engine.path).read_text(encoding="utf-8"))
    assert values == json.loads(json.dumps(fp16_engine.report.to_dict()))
