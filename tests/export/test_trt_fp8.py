"""Real FP8 engines, built by TensorRT-RTX without a GPU: fused as others are, and computed in FP8."""

from __future__ import annotations

import json

import pytest

from layerflow.errors import ModelError, RequestError
from layerflow_export.cli.app import run
from layerflow_export.manifest import read_graph_manifest
from layerflow_export.trt import flavour
from layerflow_export.trt.build import check_fusion, named_targets
from layerflow_export.trt.flavour import CURRENT, Flavour, installed
from layerflow_export.trt.fusion import parse_fusion
from layerflow_export.trt.graph import read_graph
from layerflow_export.trt.header import read_header

pytest.importorskip("tensorrt_rtx", reason="there is no TensorRT-RTX for this platform")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(installed().name != "tensorrt_rtx", reason="the full TensorRT needs a GPU"),
]

PRODUCTS = 4  # of each block: query, key and value as one, what leaves attention, and the two of the feed-forward


@pytest.fixture(scope="module", params=["released_model", pytest.param("tiny_model", marks=pytest.mark.long)])
def built(request, tmp_path_factory):
    """The command line for a model, the folder it builds in, and the report."""
    folder = tmp_path_factory.mktemp("fp8")
    line = ["build", str(request.getfixturevalue(request.param)), "-o", str(folder), "--precision", "fp8", "--json"]
    with pytest.MonkeyPatch.context() as patch:
        printed = []
        patch.setattr("layerflow_export.cli.build.print_json", printed.append)
        assert run(line) == 0
    return line, folder, json.loads(json.dumps(printed[0], default=str))


def test_every_block_is_fused_and_in_fp8(built):
    _, folder, report = built
    assert (report["num_blocks"], report["attention_fused"], report["qkv_merged"]) == (2, 2, 2)
    assert report["fp8_products"] == 2 * PRODUCTS and report["precision"] == "fp8"
    assert report["targets"] == ["sm89", "sm120"]  # those of the usual three that have FP8
    (engine,) = folder.glob("*.engine")
    assert read_header(engine).targets == ("sm89", "sm120")


def test_the_same_again_is_neither_calibrated_nor_built(built, monkeypatch):
    line, folder, report = built
    monkeypatch.delattr("layerflow_export.fp8.quantize")
    monkeypatch.setattr("layerflow_export.calibration.load_engine", lambda *given: pytest.fail("it was calibrated"))
    (graph,) = folder.glob("*.onnx")
    before = read_graph_manifest(graph)
    printed = []
    monkeypatch.setattr("layerflow_export.cli.build.print_json", printed.append)
    assert run(line) == 0 and printed[0]["cached"] and printed[0]["key"] == report["key"]
    assert read_graph_manifest(graph) == before and len(before.largest_inputs) == 2 * 6


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_bundled_model_is_fused_and_in_fp8(tmp_path, capsys):
    assert run(["build", "mini", "-o", str(tmp_path), "--precision", "fp8", "--target", "sm89", "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (report["num_blocks"], report["attention_fused"], report["qkv_merged"]) == (6, 6, 6)
    assert report["fp8_products"] == 6 * PRODUCTS and report["targets"] == ["sm89"]


def test_an_engine_that_leaves_products_out_of_fp8_is_refused(built, fp16_graph):
    """The log of a builder that took the numbers out of FP8 before it multiplied them."""
    (folder,) = built[1].glob("*.onnx")
    graph = read_graph(folder / "model.onnx")
    names = [sorted(block.attention)[0] for block in graph.blocks]
    log = "".join(
        f"Name: _gemm_mha_v2_{name}, LayerType: kgen, Inputs: [], Outputs: [], Metadata: [ONNX Layer: {name}]\n"
        for name in names
    )
    with pytest.raises(ModelError, match=r"0 of the 8 matrix products that are to be in FP8 are; build with"):
        check_fusion(parse_fusion(log, graph.blocks), graph)
    assert read_graph(fp16_graph / "model.onnx").fp8_products == 0


def test_what_reads_fp8_twice_is_a_product_in_it():
    tensor = "{{ Name: x, Dimensions: [-1,8], Datatype: {}, Format: (Linear) }}".format
    line = "Name: a, LayerType: {}, Inputs: [ {}], Constants: [ {}], Outputs: [ {}], Metadata: [ONNX Layer: n]\n".format
    quantizer = line("kgen", tensor("BFloat16"), tensor("Float"), tensor("FP8"))
    product = line("gemm", tensor("FP8"), tensor("FP8"), tensor("BFloat16"))
    other = line("gemm", tensor("BFloat16"), tensor("BFloat16"), tensor("FP8"))
    assert parse_fusion(quantizer + product + other + product, ()).fp8_products == 2


@pytest.mark.parametrize("target", ["sm86", "sm80,sm89"])
def test_a_gpu_without_fp8_is_refused(built, target, capsys):
    line, *_ = built
    assert run([*line, "--target", target]) == 2
    assert f"{target[:4]} has no FP8; build for sm89 or later, or with --precision bf16" in capsys.readouterr().err


def test_so_is_the_one_that_is_here(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda: (8, 6))
    assert named_targets((CURRENT,)) == ("sm86",)
    with pytest.raises(RequestError, match="sm86 has no FP8"):
        named_targets((CURRENT,), fp8=True)
    full = Flavour(name="tensorrt", version="11.4", targets=())
    assert full.checked_targets((), fp8=True) == (CURRENT,)
    assert [flavour.has_fp8(target) for target in ("sm75", "sm87", "sm89", "sm90", "sm120")] == [False] * 2 + [True] * 3


def test_the_cache_keeps_no_engine_that_no_backend_runs(built, capsys):
    (graph,) = built[1].glob("*.onnx")
    for line in (["build", "mini", "--precision", "fp8"], ["build", str(graph)]):
        assert run(line) == 2
        assert "runs no fp8 engine yet, so none is kept in the cache; pass -o DIR" in capsys.readouterr().err
