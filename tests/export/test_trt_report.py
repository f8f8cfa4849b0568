"""No engine is loaded that is damaged, stale, another TensorRT's or for another GPU."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import pytest

from layerflow.errors import ModelError
from layerflow_export.cli.app import run
from layerflow_export.trt.flavour import Flavour
from layerflow_export.trt.header import Header
from layerflow_export.trt.report import EngineReport, checked_engine, read_report, report_path

RTX = Flavour(name="tensorrt_rtx", version="1.7.1.116", targets=("sm86", "sm89", "sm120"))
FULL = Flavour(name="tensorrt", version="11.4.0.106", targets=())
HEADER = bytes.fromhex(  # of an engine for sm86, sm89 and sm120
    "76747274 00000000 02000000 00000000 7c0a7f00 00000000 01070174 76747274"
    "1c000000 00000000 00000000 00000000 00000000 00000000 009d3f00 00000000"
)


def written(folder, content=HEADER, **changes):
    """An engine of these bytes with a report that fits them, but for `changes`."""
    engine = folder / "x.engine"
    engine.write_bytes(content)
    report = EngineReport(
        key="k",
        model_sha256="m",
        onnx_sha256="o",
        content="c",
        engine_sha256=hashlib.sha256(content).hexdigest(),
        engine_bytes=len(content),
        precision="bf16",
        targets=("sm86", "sm89", "sm120"),
        refittable=False,
        profile={"batch": "1/2/2"},
        num_blocks=30,
        attention_fused=30,
        qkv_merged=30,
        unmerged_qkv=(),
        fp8_products=0,
        num_layers=522,
        weights_bytes=1,
        activation_bytes=1,
        builder=RTX.name,
        builder_version=RTX.version,
        layerflow_version="0.1.0",
        seconds=1.0,
    )
    values = dataclasses.replace(report, **changes).to_dict()
    report_path(engine).write_text(json.dumps(values), encoding="utf-8")
    return engine


def test_header_of_a_recorded_engine():
    assert Header.parse(HEADER) == Header(version="1.7.1.116", targets=("sm86", "sm89", "sm120"))


def test_a_report_comes_back_as_it_was(tmp_path):
    report = checked_engine(written(tmp_path), RTX, target="sm89", key="k")
    assert report == read_report(tmp_path / "x.engine") and report.targets == ("sm86", "sm89", "sm120")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"builder_version": "1.6.0.1"}, "was built by tensorrt_rtx 1.6.0.1 and this is tensorrt_rtx 1.7.1.116"),
        ({"builder": "tensorrt"}, "was built by tensorrt 1.7.1.116 and this is"),
        ({"targets": ("sm86",)}, "is for sm86 and not for sm89; build it with --target"),
        ({"targets": ("sm86", "sm89")}, "holds code for sm86, sm89, sm120 and not for sm86, sm89"),
        ({"key": "another"}, "was built of another model or with other settings; build it anew"),
        ({"engine_sha256": "0"}, "is not the file that its report describes"),
        ({"engine_bytes": 5}, "is not the file that its report describes"),
        ({"content": b"\x7fELF" + HEADER[4:]}, "is no engine of TensorRT-RTX"),
        ({"content": HEADER[:20]}, "is no engine of TensorRT-RTX"),
        ({"content": HEADER.replace(b"\x01\x07\x01", b"\x01\x06\x00")}, "was built by TensorRT-RTX 1.6.0.116, not"),
    ],
)
def test_a_stale_or_foreign_engine_is_refused(tmp_path, changes, sentence):
    with pytest.raises(ModelError, match=sentence):
        checked_engine(written(tmp_path, **changes), RTX, target="sm89", key="k")


def test_the_full_tensorrt_takes_none_of_the_other(tmp_path):
    with pytest.raises(ModelError, match=r"and this is tensorrt 11\.4\.0\.106; build it anew"):
        checked_engine(written(tmp_path), FULL)


def test_a_file_of_the_full_tensorrt_has_no_header_we_know(tmp_path):
    engine = written(tmp_path, b"anything", builder="tensorrt", builder_version=FULL.version, targets=("sm90",))
    assert checked_engine(engine, FULL, target="sm90").builder == "tensorrt"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": 2}'])
def test_without_a_readable_report_an_engine_is_refused(tmp_path, text):
    engine = written(tmp_path)
    report_path(engine).write_text(text)
    with pytest.raises(ModelError, match="has no readable report beside it; build it with layerflow-export build"):
        checked_engine(engine, RTX)


def test_inspect_says_so(tmp_path, capsys):
    pytest.importorskip("tensorrt_rtx", reason="there is no TensorRT-RTX for this platform")
    engine = tmp_path / "gone.engine"
    assert run(["inspect", str(engine), "--json"]) == 5
    assert "no readable report" in json.loads(capsys.readouterr().out)["error"]
    written(tmp_path).unlink()
    assert run(["inspect", str(tmp_path / "x.engine")]) == 5
    assert "is not the file that its report describes" in capsys.readouterr().err
