"""The backend "onnxruntime" from the command line to the frames, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from networks import exported, inputs_of, network_of
from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException
from rendering import channels, render, write_plate

from layerflow.cli.app import run
from layerflow.cli.checkup import examine
from layerflow.errors import ModelError, RequestError
from layerflow.models.folder import open_model
from layerflow.models.load import LoadOptions, load_engine
from layerflow_export import onnxruntime_backend
from layerflow_export.core import denoiser
from layerflow_export.manifest import GRAPH
from layerflow_export.onnxruntime_backend import onnxruntime_denoiser, open_graph

pytestmark = pytest.mark.usefixtures("one_thread")


def test_decompose_from_end_to_end(tiny_model, tmp_path, capsys):
    plate = write_plate(tmp_path / "plate", count=8)
    command = ["decompose", plate, "--model", str(tiny_model), "--backend", "onnxruntime", "--json"]
    assert run([*command, "-o", str(tmp_path / "graph" / "dog.%04d.exr")]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["backend"] == "onnxruntime" and len(result["frames"]) == 8
    for path in render(tiny_model, tmp_path / "eager", plate=plate, foreground="", background="").frames:
        ours, eager = channels(tmp_path / "graph" / path.name), channels(path)
        assert ours.keys() == eager.keys()
        assert all(np.allclose(ours[name], eager[name], rtol=2e-3, atol=1e-3) for name in ours)


def test_the_bundled_model_to_the_scale_of_its_numbers(tmp_path):
    transformer = network_of("mini")
    network = denoiser(transformer, open_graph(exported("mini", tmp_path / "mini") / GRAPH))
    for shape in ((1, 8, 8, 12, 2, 16), (2, 8, 8, 12, 3, 16), (1, 4, 6, 4, 1, 5)):
        inputs = inputs_of(transformer, shape)
        with torch.inference_mode():
            v, eager = network(**inputs), transformer(**inputs)
        assert (v - eager).abs().max() <= 4e-6 * eager.abs().max()


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


def test_it_runs_on_the_cpu_only(tiny_graph):
    with pytest.raises(RequestError, match="runs on the CPU here, not on meta; use --device cpu"):
        open_graph(tiny_graph / GRAPH)({"latents": torch.zeros(1, device="meta")})


def test_a_graph_that_is_none_is_a_sentence(tmp_path):
    (tmp_path / GRAPH).write_bytes(b"no graph")
    with pytest.raises(ModelError, match=r"onnxruntime cannot run this model .*; use --backend eager"):
        open_graph(tmp_path / GRAPH)


@pytest.mark.parametrize(
    ("said", "error"), [("Failed to allocate memory for requested buffer", MemoryError), ("a shape is off", ModelError)]
)
def test_what_fails_while_it_runs(tiny_model, tiny_graph, monkeypatch, said, error):
    class Session:
        def __init__(self, *arguments, **options):
            pass

        def run(self, *arguments):
            raise RuntimeException(said)

    monkeypatch.setattr(onnxruntime_backend.onnxruntime, "InferenceSession", Session)
    monkeypatch.setattr(onnxruntime_backend, "cached_graph", lambda transformer: tiny_graph)
    transformer = network_of(tiny_model)
    with pytest.raises(error, match=said):
        onnxruntime_denoiser(transformer)(**inputs_of(transformer, (1, 4, 2, 2, 1, 1)))
