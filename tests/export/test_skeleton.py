"""A graph without numbers is the same for all weights of a form, and computes what torch does with those given."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from networks import every_shape, inputs_of, network_of
from ship_skeleton import bundled_networks

from layerflow.errors import ModelError
from layerflow_export.core import OPSETS, denoiser
from layerflow_export.manifest import GRAPH, MANIFEST
from layerflow_export.onnxruntime_backend import open_graph
from layerflow_export.skeleton import SHIPPED, export_skeleton, read_skeleton, skeleton_key

pytestmark = pytest.mark.usefixtures("one_thread")
FLOAT_BOUND = 2e-6


def key_of(transformer):
    return skeleton_key(transformer, OPSETS[transformer.dtype])


@every_shape
@pytest.mark.parametrize("model", ["released_model", pytest.param("tiny_model", marks=pytest.mark.long)])
def test_it_computes_what_torch_does(model, shape, request, tmp_path, skeletons):
    transformer = network_of(request.getfixturevalue(model))
    network = denoiser(transformer, open_graph(skeletons(model, transformer), transformer))
    inputs = inputs_of(transformer, shape)
    with torch.inference_mode():
        v, eager = network(**inputs), transformer(**inputs)
    assert (v - eager).abs().max() < FLOAT_BOUND


@pytest.fixture(scope="module")
def skeletons(tmp_path_factory):
    made = {}

    def skeleton(name, transformer):
        if name not in made:
            made[name] = export_skeleton(transformer, tmp_path_factory.mktemp("skeletons") / name)
        return made[name]

    return skeleton


def test_other_numbers_need_no_other_graph(released_model, skeletons):
    transformer = network_of(released_model)
    skeleton = skeletons("released_model", transformer)
    for block in transformer.transformer_blocks:
        block.attn1.to_q.weight.data.mul_(1.5)
    network = denoiser(transformer, open_graph(skeleton, transformer))
    inputs = inputs_of(transformer, (2, 4, 4, 6, 2, 3))
    with torch.inference_mode():
        assert (network(**inputs) - transformer(**inputs)).abs().max() < FLOAT_BOUND


@pytest.mark.long
def test_float16(released_model, tmp_path):
    transformer = network_of(released_model, torch.float16)
    network = denoiser(transformer, open_graph(export_skeleton(transformer, tmp_path / "half"), transformer))
    inputs = inputs_of(transformer, (2, 4, 4, 6, 2, 3))
    with torch.inference_mode():
        v, eager = network(**inputs), transformer(**inputs)
    assert (v - eager).abs().max() < 1e-2 * eager.abs().max()


def test_it_holds_no_numbers(released_model, skeletons):
    skeleton = skeletons("released_model", network_of(released_model))
    assert skeleton.path.stat().st_size < 100_000 and len(list(skeleton.path.parent.iterdir())) == 2
    assert read_skeleton(skeleton.path.parent) == skeleton


@pytest.mark.parametrize("name", [GRAPH, MANIFEST])
def test_a_damaged_one_is_none(released_model, tmp_path, name, skeletons):
    whole = skeletons("released_model", network_of(released_model)).path.parent
    folder = shutil.copytree(whole, tmp_path / "skeleton")
    (folder / name).write_bytes((folder / name).read_bytes()[:-9] + b"?" * 9)
    assert read_skeleton(folder) is None and read_skeleton(tmp_path / "nothing") is None


def test_the_form_decides_and_not_the_numbers_or_the_tables(tiny_model, released_model):
    transformer = network_of(tiny_model)
    first = key_of(transformer)
    transformer.proj_out.bias.data[0] += 1.0
    assert key_of(transformer) == first
    keys = {first, key_of(network_of(tiny_model, torch.float16)), key_of(network_of(released_model))}
    assert len(keys) == 3


def test_without_the_exporter_it_is_a_sentence(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx_ir", None)
    with pytest.raises(ModelError, match="onnx_ir is not installed; pip install"):
        export_skeleton(network_of(tiny_model), tmp_path / "skeleton")
    assert not list(tmp_path.iterdir())


def test_the_bundled_models_come_with_the_package_and_are_true():
    """Where this fails, `tests/export/ship_skeleton.py` has not been run since the model or the network changed."""
    networks = list(bundled_networks())
    assert len(list(SHIPPED.iterdir())) == len(networks)
    for transformer in networks:
        skeleton = read_skeleton(SHIPPED / key_of(transformer)[:16])
        assert skeleton is not None
        network, layers = denoiser(transformer, open_graph(skeleton, transformer)), transformer.config.mixed_layers
        for shape in ((1, 2 * layers, 8, 12, 2, 16), (2, 2 * layers, 8, 12, 3, 16), (1, layers, 6, 4, 1, 5)):
            inputs = inputs_of(transformer, shape)
            with torch.inference_mode():
                v, eager = network(**inputs), transformer(**inputs)
            # Some latents are small beside the pixels that they go through in the head.
            assert (v - eager).abs().max() <= 1e-5 * eager.abs().max()
        assert json.loads((skeleton.path.parent / MANIFEST).read_text())["plain"]
