"""The peer computes what we compute: diffusers' own model of the same weights, and its plain loop."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from diffusers import CogVideoXTransformer3DModel
from networks import inputs_of, network_of

from layerflow.layout import TASKS
from layerflow.models.folder import open_model
from layerflow.models.load import load_engine
from layerflow.pipeline import encode_clip, sample_clip
from layerflow.sampler import Guidance, with_constant_guidance
from layerflow_export.bench.case import Case
from layerflow_export.bench.peer import as_diffusers, peer_network, plain_sample

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("shape", [(2, 16, 4, 6, 3, 8), (1, 17, 4, 6, 3, 8), (2, 5, 8, 4, 2, 5)], ids=str)
@torch.inference_mode()
def test_v_is_ours(released_model, shape):
    transformer = network_of(released_model)
    inputs = inputs_of(transformer, shape)
    v = peer_network(transformer)(**inputs)
    assert v.shape == inputs["latents"].shape
    assert (v - transformer(**inputs)).abs().max() <= 2e-6


@torch.inference_mode()
def test_it_is_diffusers_own_model_on_our_weights(released_model):
    transformer = network_of(released_model)
    shapes = torch.Size((1, 4, 4, 4, 6)), torch.Size((1, 3, 8, 32))
    model = as_diffusers(transformer, shapes[0], *transformer.tables(*shapes, torch.arange(3.0), None))
    assert type(model) is CogVideoXTransformer3DModel
    ours = transformer.get_parameter("transformer_blocks.1.ff.net.2.weight")
    assert model.get_parameter("transformer_blocks.1.ff.net.2.weight").data_ptr() == ours.data_ptr()
    assert not any(weight.is_meta for weight in [*model.parameters(), *model.buffers()])


@torch.inference_mode()
def test_other_shapes_make_it_anew(released_model):
    transformer = network_of(released_model)
    peer = peer_network(transformer)
    for shape in ((1, 4, 4, 6, 3, 8), (1, 8, 4, 6, 3, 8), (1, 8, 4, 6, 2, 5)):
        inputs = inputs_of(transformer, shape)
        assert (peer(**inputs) - transformer(**inputs)).abs().max() <= 2e-6


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("model", ["tiny_model", "released_model"])
def test_the_same_shot(model, task, request):
    case = Case(model=str(request.getfixturevalue(model)), task=task, steps=2)
    engine = load_engine(open_model(request.getfixturevalue(model)))
    clip, sampler = case.clip(engine.folder), case.sampler(engine.folder)
    ours = sample_clip(engine, encode_clip(engine, clip), sampler)
    peer = replace(engine, network=peer_network(engine.transformer))
    plain = plain_sample(peer, encode_clip(peer, clip), sampler)
    assert (plain - ours).abs().max() <= 1e-5 * ours.abs().max()


@pytest.mark.parametrize(
    ("guidance", "rows"),
    [(Guidance(scale=3.0, power=None, guided_from=500), 2), (Guidance(scale=1.0, power=None), 1), (Guidance(), 2)],
    ids=["guided in some steps", "never guided", "released"],
)
def test_both_halves_in_every_step_unless_none_is_guided(tiny_model, guidance, rows):
    engine = load_engine(open_model(tiny_model))
    case = Case(model=str(tiny_model), steps=4)
    seen = []

    def network(latents, *inputs):
        seen.append(len(latents))
        return engine.network(latents, *inputs)

    sampler = replace(case.sampler(engine.folder), guidance=guidance)
    plain_sample(replace(engine, network=network), encode_clip(engine, case.clip(engine.folder)), sampler)
    assert seen == [rows] * 4


def test_a_constant_weight_given_by_hand(tiny_model):
    case = Case(model=str(tiny_model), guidance=2.5)
    folder = open_model(tiny_model)
    assert case.sampler(folder) == with_constant_guidance(folder.sampler("generate"), 2.5)
