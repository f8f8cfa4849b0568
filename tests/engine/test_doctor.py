"""The doctor: a healthy machine, and each thing that can be amiss."""

from __future__ import annotations

import json
import shutil
import sys
from collections import namedtuple
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest
from wire_server import standing_in

from layerflow.cli import checkup
from layerflow.cli.app import run
from layerflow.cli.checkup import Check, examine
from layerflow.errors import ModelError
from layerflow.wire.running import publish

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def mini(monkeypatch, tmp_path):
    """A model in place of the bundled one; tests damage it."""
    model = SimpleNamespace(
        path=tmp_path / "mini", manifest=SimpleNamespace(sha256={"a": "0"}), damaged=lambda: iter(())
    )
    monkeypatch.setattr("layerflow.models.shelf.find_model", lambda name: model)
    return model


def found(name: str) -> Check:
    return next(check for check in examine() if check.name == name)


def test_a_healthy_machine(mini, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("LAYERFLOW_MODELS", str(tmp_path))
    assert run(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["healthy"] is True
    names = {check["name"] for check in report["checks"]}
    assert {"python", "torch", "device cpu", "backend eager", "OCIO", "movies", "bundled model", "disk here"} <= names


def test_every_complaint_comes_with_advice(mini):
    assert all(check.advice for check in examine() if check.status != "ok")


def test_a_failure_is_told_and_exits_with_1(mini, capsys):
    mini.damaged = lambda: iter(["transformer/model.safetensors"])
    assert run(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    place = next(index for index, line in enumerate(lines) if line.startswith("fail  bundled model"))
    assert "transformer/model.safetensors" in lines[place]
    assert "install LayerFlow again" in lines[place + 1]


def test_no_bundled_model(mini, monkeypatch):
    def missing(name):
        raise ModelError("there is no model 'mini'")

    monkeypatch.setattr("layerflow.models.shelf.find_model", missing)
    assert found("bundled model").status == "fail"


def test_a_package_that_is_missing_or_old(mini, monkeypatch):
    needs = ["click>=8.1", "click>=99", "layerflow-no-such-package>=1", "absent; extra == 'dev'"]
    monkeypatch.setattr(checkup, "requires", lambda name: needs)
    packages = list(checkup._packages())
    assert [check.status for check in packages] == ["ok", "fail", "fail"]
    assert packages[1].advice == "pip install 'click>=99'"
    assert packages[2].detail == "not installed"


def test_a_library_that_cannot_be_imported(mini, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    broken = found("devices")
    assert broken.status == "fail" and "torch" in broken.detail
    assert found("disk here")  # the rest goes on


def test_an_ocio_config_that_is_not_there(mini, monkeypatch):
    monkeypatch.setenv("OCIO", "/no/such/config.ocio")
    check = found("OCIO")
    assert check.status == "fail" and "/no/such/config.ocio" in check.detail and "$OCIO" in check.advice


def test_an_ocio_config_without_acescg(mini, monkeypatch, tmp_path):
    config = tmp_path / "small.ocio"
    config.write_text(
        "ocio_profile_version: 2\nroles: {default: raw, scene_linear: raw}\n"
        "displays: {screen: [!<View> {name: Raw, colorspace: raw}]}\n"
        "colorspaces: [!<ColorSpace> {name: raw, isdata: true}]\n"
    )
    monkeypatch.setenv("OCIO", str(config))
    check = found("OCIO")
    assert check.status == "warn" and "--output-colorspace" in check.advice


def test_movies_this_ffmpeg_cannot_read(mini, monkeypatch):
    monkeypatch.setattr("av.codecs_available", {"h264"})
    assert found("movies").detail.endswith("cannot read prores, dnxhd, hevc")


@pytest.mark.parametrize(("free_gib", "status"), [(0.1, "fail"), (2, "warn"), (50, "ok")])
def test_free_disk(mini, monkeypatch, free_gib, status):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(2**40, 0, free_gib * 2**30))
    assert found("disk here").status == status


def test_a_model_folder_below_a_file(mini, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LAYERFLOW_MODELS", str(tmp_path / "file" / "models"))
    check = found("model folder")
    assert check.status == "warn" and "LAYERFLOW_MODELS" in check.advice


def test_backends_that_others_bring(mini, monkeypatch):
    group = "layerflow.denoisers"
    brought = [EntryPoint("good", "json:loads", group), EntryPoint("bad", "layerflow_no_such_module:make", group)]
    monkeypatch.setattr("layerflow.models.backends.entry_points", lambda group: brought)
    assert found("backend good").status == "ok"
    bad = found("backend bad")
    assert bad.status == "warn" and "layerflow_no_such_module" in bad.detail


@pytest.fixture
def gpu(mini, monkeypatch, tmp_path, released_model):
    """A GPU with 1 GiB free of 48, and two models beside the bundled one."""
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (2**30, 48 * 2**30))
    monkeypatch.setenv("LAYERFLOW_MODELS", str(tmp_path))
    shutil.copytree(released_model, tmp_path / "released")
    return tmp_path / "released"


def plans() -> list[Check]:
    return [check for check in checkup._memory() if check.name != "model mini"]


def test_the_memory_plan_of_every_model_on_every_device(gpu, monkeypatch):
    monkeypatch.setattr("layerflow.models.memory.psutil.virtual_memory", lambda: SimpleNamespace(available=2**34))
    on_gpu, on_cpu = plans()
    assert on_gpu.name == on_cpu.name == "model released-rgba" and {on_gpu.status, on_cpu.status} == {"ok"}
    assert on_gpu.detail.startswith("plan full, about 0.5 GiB of 1.0 GiB free on cuda:0 (text 0.0, transformer 0.3, ")
    assert on_cpu.detail.startswith("plan full, about 0.5 GiB of ")


def test_a_model_that_fits_nowhere(gpu, monkeypatch):
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (2**26, 48 * 2**30))
    on_gpu, _ = plans()
    assert on_gpu.status == "warn" and on_gpu.detail.startswith("plan low") and "--device" in on_gpu.advice


def test_a_model_whose_weights_cannot_be_read(gpu):
    next((gpu / "transformer").glob("*.safetensors")).write_bytes(b"no weights")
    assert [check.status for check in plans()] == ["warn", "warn"]
    assert all("cannot be loaded" in check.detail and "verify" in check.advice for check in plans())


@pytest.mark.parametrize(
    ("driver", "words"), [(None, "no NVIDIA GPU"), ("/usr/bin/nvidia-smi", "PyTorch cannot use it")]
)
def test_no_usable_gpu(mini, monkeypatch, driver, words):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: driver)
    check = found("device cuda")
    assert check.status == "warn" and words in check.detail


def test_a_gpu_is_named(mini, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    properties = SimpleNamespace(name="NVIDIA RTX 6000", total_memory=48 * 2**30)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda index: properties)
    assert found("device cuda:0").detail == "NVIDIA RTX 6000, 48 GiB"


def test_the_server_is_named_where_it_runs(mini, monkeypatch, tmp_path):
    monkeypatch.setenv("LAYERFLOW_RUNTIME", str(tmp_path))
    assert found("server") == Check(name="server", status="ok", detail="does not run; hosts and --queue start it")
    with standing_in() as server:
        publish(server.address)
        assert found("server").detail == f"runs at {server.address.url}"
        server.api = 99
        assert found("server").status == "warn" and "speaks version 99" in found("server").detail
