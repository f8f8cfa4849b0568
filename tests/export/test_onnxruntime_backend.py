"""The backend "onnxruntime" from the command line to the frames, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import inputs_of, network_of
from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException
from rendering import channels, render, write_plate

from layerflow.cli.app import run
from layerflow.cli.checkup import examine
from layerflow.errors import ModelError, RequestError
from layerflow.models.folder import open_model
from layerflow.models.load import LoadOptions, load_engine
from layerflow.models.shelf import find_model
from layerflow.transformer import LayerFlowTransformer
from layerflow_export import onnxruntime_backend
from layerflow_export.onnxruntime_backend import onnxruntime_denoiser, open_graph
from layerflow_export.skeleton import Skeleton

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


def test_decompose_from_end_to_end(tiny_model, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("LAYERFLOW_CACHE", str(tmp_path / "cache"))  # what lies there is what auto takes elsewhere
    plate = write_plate(tmp_path / "plate", count=8)
    command = ["decompose", plate, "--model", str(tiny_model), "--backend", "onnxruntime", "--json"]
    assert run([*command, "-o", str(tmp_path / "graph" / "dog.%04d.exr")]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["backend"] == "onnxruntime" and len(result["frames"]) == 8
    assert not any("backend" in sentence for sentence in result["warnings"])
    asked = {"plate": plate, "foreground": "", "background": "", "backend": "eager"}
    for path in render(tiny_model, tmp_path / "eager", **asked).frames:
        ours, eager = channels(tmp_path / "graph" / path.name), channels(path)
        assert ours.keys() == eager.keys()
        assert all(np.allclose(ours[name], eager[name], rtol=2e-3, atol=1e-3) for name in ours)


def test_the_bundled_model_runs_on_it_by_itself():
    assert load_engine(find_model("mini"), LoadOptions(device="cpu")).backend == "onnxruntime"
    draft = load_engine(find_model("mini"), LoadOptions(device="cpu", quality="draft"))
    assert draft.backend == "eager"  # it has no blocks to leave out


@pytest.mark.parametrize("model", [pytest.param("tiny_model", marks=pytest.mark.long), "released_model"])
def test_it_is_checked_when_it_is_loaded(model, request, tmp_path, monkeypatch):
    monkeypatch.setenv("LAYERFLOW_CACHE", str(tmp_path / "cache"))
    eager_calls, said = [], []
    real = LayerFlowTransformer.forward
    monkeypatch.setattr(LayerFlowTransformer, "forward", lambda *told: (eager_calls.append(1), real(*told))[1])
    folder, options = open_model(request.getfixturevalue(model)), LoadOptions(device="cpu", backend="onnxruntime")
    engine = load_engine(folder, options, warn=said.append)
    inputs = inputs_of(engine.transformer, (1, 4, 4, 4, 2, 3))
    engine.network(**inputs)
    assert len(eager_calls) == 1 and engine.backend == "onnxruntime" and not said
    monkeypatch.setattr(onnxruntime_backend.Skeleton, "tensors", doubled(onnxruntime_backend.Skeleton.tensors))
    assert load_engine(folder, options, warn=said.append).backend == "eager" and len(said) == 1


def doubled(tensors):
    """A skeleton's weights, each twice as large."""
    return lambda *told: ((name, 2.0 * tensor) for name, tensor in tensors(*told))


def test_the_doctor_knows_it():
    check = next(check for check in examine() if check.name == "backend onnxruntime")
    assert check.status == "ok" and check.detail == "layerflow"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"precision": "bfloat16"}, "cannot run bfloat16 on a CPU; use --precision float32"),
        ({"memory": "low"}, "needs the whole network in memory; use --memory full"),
    ],
)
def test_what_it_cannot_run_is_a_sentence(tiny_model, options, sentence):
    with pytest.raises(RequestError, match=sentence):
        load_engine(open_model(tiny_model), LoadOptions(backend="onnxruntime", **options))


def test_weights_that_do_not_fit_twice_are_a_sentence(tiny_model, monkeypatch):
    monkeypatch.setattr(onnxruntime_backend, "free_bytes", lambda device: 1000)
    with pytest.raises(RequestError, match=r"needs 0.0 GiB more for the weights and 0.0 are free; use --backend eager"):
        onnxruntime_denoiser(network_of(tiny_model))


def test_a_device_it_has_nothing_for_is_a_sentence(tiny_model):
    with pytest.raises(RequestError, match="nothing here that runs on cuda:0; install onnxruntime-gpu in its place"):
        onnxruntime_backend._provider(torch.device("cuda:0"))


def test_on_a_gpu_it_runs_on_torchs_stream(monkeypatch):
    monkeypatch.setattr(onnxruntime_backend.onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr("torch.cuda.current_stream", lambda device: type("Stream", (), {"cuda_stream": 77}))
    options = {"device_id": "1", "user_compute_stream": "77"}
    assert onnxruntime_backend._provider(torch.device("cuda:1")) == ("CUDAExecutionProvider", options)


def test_bfloat16_reaches_it_as_it_is():
    value = onnxruntime_backend._ort_value(torch.tensor([1.0, -2.5], dtype=torch.bfloat16))
    assert value.element_type() == 16 and value.shape() == [2]


def test_a_graph_that_is_none_is_a_sentence(tmp_path, tiny_model):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no graph")
    with pytest.raises(ModelError, match=r"onnxruntime cannot run this model .*; use --backend eager"):
        open_graph(Skeleton(path=broken, plain=(), transposed=()), network_of(tiny_model))


@pytest.mark.parametrize(
    ("said", "error"), [("Failed to allocate memory for requested buffer", MemoryError), ("a shape is off", ModelError)]
)
def test_what_fails_while_it_runs(tiny_model, monkeypatch, said, error):
    class Binding:
        def bind_input(self, *told):
            pass

        bind_output = bind_input

    class Session:
        def __init__(self, *arguments, **options):
            pass

        def io_binding(self):
            return Binding()

        def run_with_iobinding(self, binding):
            raise RuntimeException(said)

    monkeypatch.setattr(onnxruntime_backend.onnxruntime, "InferenceSession", Session)
    empty = Skeleton(path=Path("graph"), plain=(), transposed=())
    monkeypatch.setattr(onnxruntime_backend, "find_skeleton", lambda transformer, opset, *, prepared: empty)
    transformer = network_of(tiny_model)
    with pytest.raises(error, match=said):
        onnxruntime_denoiser(transformer)(**inputs_of(transformer, (1, 4, 2, 2, 1, 1)))
