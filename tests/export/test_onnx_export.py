"""Exported graphs: of any size, equal to torch, with a manifest that finds every weight; or no folder at all."""

from __future__ import annotations

import errno
import json
import os
import sys

import numpy as np
import onnx
import onnx_ir
import pytest
import torch
from networks import every_shape, exported, inputs_of, network_of, run_with

from layerflow.errors import ModelError
from layerflow_export.cli.app import run
from layerflow_export.core import INPUTS, OUTPUT
from layerflow_export.manifest import DATA, GRAPH, MANIFEST, content_hash, read_graph_manifest
from layerflow_export.onnx_export import OUTSIDE

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

FORMS = [
    pytest.param("tiny_model", "tiny_graph", id="bundled form", marks=pytest.mark.long),
    pytest.param("released_model", "released_graph", id="released form"),
]
both_forms = pytest.mark.parametrize(("model", "graph"), FORMS)


@every_shape
@both_forms
def test_one_graph_equals_torch_in_every_shape(model, graph, shape, request):
    transformer = network_of(request.getfixturevalue(model))
    inputs = inputs_of(transformer, shape)
    with torch.inference_mode():
        v = run_with(request.getfixturevalue(graph), transformer)(**inputs)
        eager = transformer(**inputs)
    assert v.shape == eager.shape and v.dtype == torch.float32
    assert (v - eager).abs().max() <= 2e-6


@both_forms
def test_everything_but_channels_and_widths_is_of_any_length(model, graph, request):
    stored = onnx.load(request.getfixturevalue(graph) / GRAPH, load_external_data=False).graph
    assert [value.name for value in stored.input] == list(INPUTS) and [value.name for value in stored.output] == [
        OUTPUT
    ]
    fixed = {value.name: [not side.dim_param for side in value.type.tensor_type.shape.dim] for value in stored.input}
    assert fixed == {
        "latents": [False, False, True, False, False],
        "timestep": [False],
        "text": [False, False, True],
        "text_table": [False, True],
        "video_table": [False, False, False, True],
    }


@both_forms
def test_the_manifest_finds_every_weight(model, graph, request):
    transformer, folder = network_of(request.getfixturevalue(model)), request.getfixturevalue(graph)
    weights = read_graph_manifest(folder).weights
    assert {name for name, _ in transformer.named_parameters() if not name.startswith(OUTSIDE)} == set(weights)
    stored = onnx_ir.load(folder / GRAPH).graph.initializers
    data = (folder / DATA).read_bytes()
    for name, weight in weights.items():
        value = transformer.get_parameter(name).numpy()
        there = stored[weight.initializer].const_value.numpy()
        assert there.shape == weight.shape
        assert np.array_equal(there.T if weight.transposed else there, value)
        if weight.offset is not None:
            assert data[weight.offset : weight.offset + weight.length] == there.tobytes()


def test_what_a_graph_was_made_of_is_written_down(released_model, released_graph):
    manifest = read_graph_manifest(released_graph)
    assert manifest.origin.model == "released-rgba" and manifest.precision == "float32" and manifest.opset == 20
    assert manifest.frames_per_step == 1 and manifest.versions["torch"] == torch.__version__
    assert manifest.content == content_hash(network_of(released_model), 20) and not manifest.damaged(released_graph)
    assert sorted(path.name for path in released_graph.iterdir()) == [MANIFEST, GRAPH, DATA]


def test_content_changes_with_any_number_and_with_the_precision(tiny_model):
    transformer = network_of(tiny_model)
    before = content_hash(transformer, 20)
    assert content_hash(transformer, 23) != before
    assert content_hash(network_of(tiny_model, torch.float16), 20) != before
    transformer.video_positions.data[0, 0, 0, 0] += 1e-3
    assert content_hash(transformer, 20) != before


@pytest.mark.long
def test_half_a_graph_keeps_attention_in_one_node(released_model, tmp_path):
    folder = exported(released_model, tmp_path / "half", "--precision", "float16")
    graph = onnx.load(folder / GRAPH, load_external_data=False).graph
    assert [node.op_type for node in graph.node].count("Attention") == 2
    transformer = network_of(released_model, torch.float16)
    inputs = inputs_of(transformer, (2, 12, 8, 4, 2, 5))
    with torch.inference_mode():
        error = (run_with(folder, transformer)(**inputs) - transformer(**inputs)).abs().max()
    assert error <= 1e-2


def test_a_folder_that_is_there_is_left_alone(tiny_model, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    assert run(["onnx", str(tiny_model), "-o", str(tmp_path / "mine"), "--json"]) == 6
    printed = capsys.readouterr()
    sentence = f"{tmp_path / 'mine'} is already there; remove it or choose another folder with -o"
    assert printed.err == f"layerflow-export: {sentence}\n"
    assert json.loads(printed.out) == {"error": sentence, "exit_code": 6} and not list((tmp_path / "mine").iterdir())


def test_no_model_no_folder(tmp_path, capsys):
    assert run(["onnx", "nobody", "-o", str(tmp_path / "graph")]) == 5
    assert "no model 'nobody'" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_a_full_disk_leaves_nothing(tiny_model, tmp_path, capsys, monkeypatch):
    def full(graph, path, **options):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("layerflow_export.onnx_export.to_graph", lambda transformer, opset: None)
    monkeypatch.setattr("layerflow_export.onnx_export.name_weights", lambda graph, transformer: {})
    monkeypatch.setattr("onnx_ir.save", full)
    assert run(["onnx", str(tiny_model), "-o", str(tmp_path / "graph")]) == 6
    assert "the disk is full" in capsys.readouterr().err and not list(tmp_path.iterdir())


@pytest.mark.parametrize("contents", ["", "{}", '{"format": 2}', "[]"])
def test_a_broken_manifest_is_a_sentence(tmp_path, contents):
    with pytest.raises(ModelError, match="holds no exported graph"):
        read_graph_manifest(tmp_path)
    (tmp_path / MANIFEST).write_text(contents)
    with pytest.raises(ModelError, match=r"is damaged .*; export the model again"):
        read_graph_manifest(tmp_path)


def test_without_the_extra_it_says_what_to_install(tiny_model, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx_ir", None)
    for module in ("onnx_export", "parts", "model_export"):
        monkeypatch.delitem(sys.modules, f"layerflow_export.{module}", raising=False)
    assert run(["onnx", str(tiny_model), "-o", str(tmp_path / "graph")]) == 2
    assert capsys.readouterr().err == "layerflow-export: onnx_ir is not installed; pip install 'layerflow[export]'\n"
