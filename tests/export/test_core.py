"""The part that is exported and what goes around it are together the engine's network, to the bit."""

from __future__ import annotations

import pytest
import torch
from networks import every_shape, inputs_of, network_of

from layerflow_export.core import INPUTS, OUTPUT, ExportCore, denoiser, dynamic_shapes, example_inputs

pytestmark = pytest.mark.usefixtures("one_thread")

MODELS = ("tiny_model", "released_model")


@every_shape
@pytest.mark.parametrize("model", MODELS)
def test_core_and_surroundings_are_the_network(model, shape, request):
    transformer = network_of(request.getfixturevalue(model))
    core = ExportCore(transformer)
    network = denoiser(transformer, lambda inputs: core(**inputs))
    inputs = inputs_of(transformer, shape)
    with torch.inference_mode():
        assert torch.equal(network(**inputs), transformer(**inputs))
        assert torch.equal(network(**{**inputs, "given": None}), transformer(**{**inputs, "given": None}))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halved_weights_get_halved_inputs(tiny_model, dtype):
    transformer = network_of(tiny_model, dtype)
    seen = {}
    core = ExportCore(transformer)

    def run(inputs):
        seen.update(inputs)
        return core(**inputs)

    inputs = inputs_of(transformer, (1, 8, 4, 6, 3, 8))
    with torch.inference_mode():
        assert torch.equal(denoiser(transformer, run)(**inputs), transformer(**inputs))
    assert tuple(seen) == INPUTS
    assert {name: value.dtype for name, value in seen.items()} == dict.fromkeys(INPUTS, dtype) | {
        "timestep": torch.float32
    }


@pytest.mark.parametrize("model", MODELS)
def test_example_inputs_fit_and_no_free_side_is_as_long_as_another_by_chance(model, request):
    transformer = network_of(request.getfixturevalue(model))
    inputs, free = example_inputs(transformer), dynamic_shapes(transformer)
    assert ExportCore(transformer)(**inputs).shape == inputs["latents"].shape
    lengths = {str(dim): inputs[name].shape[side] for name, sides in free.items() for side, dim in sides.items()}
    assert len(set(lengths.values())) == len(lengths) and OUTPUT not in INPUTS
