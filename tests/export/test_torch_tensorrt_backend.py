"""The backend `torch-tensorrt`: what it hands to torch.compile, with torch itself in Torch-TensorRT's place."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch
from networks import inputs_of, network_of

from layerflow.errors import RequestError
from layerflow.models.offload import offload_blocks
from layerflow_export import torch_tensorrt_backend as backend
from layerflow_export.torch_tensorrt_backend import torch_tensorrt_denoiser, why_not

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning"),  # torch's own use
]

# Fields of torch_tensorrt 2.13's CompilationSettings, and what else its backend for torch.compile reads.
KNOWN_OPTIONS = {
    "cache_built_engines",
    "custom_engine_cache",
    "decompose_attention",
    "device",
    "engine_cache_dir",
    "engine_cache_size",
    "hardware_compatible",
    "immutable_weights",
    "min_block_size",
    "offload_module_to_cpu",
    "optimization_level",
    "pass_through_build_failures",
    "refit_identical_engine_weights",
    "reuse_cached_engines",
    "strip_engine_weights",
    "timing_cache_path",
    "workspace_size",
}


@pytest.fixture
def compiled(monkeypatch):
    """Torch-TensorRT's place, taken by a backend that runs the graph as it is; the options of each graph it got."""
    graphs = []

    def as_it_is(graph, inputs, *, options):
        graphs.append(options)
        return graph.forward

    monkeypatch.setitem(sys.modules, backend.MODULE, ModuleType(backend.MODULE))
    monkeypatch.setattr(backend, "BACKEND", as_it_is)
    monkeypatch.setattr(backend, "why_not", lambda: None)
    yield graphs
    torch.compiler.reset()


def test_the_core_is_one_graph_for_each_shape(tiny_model, compiled):
    transformer = network_of(tiny_model)
    network = torch_tensorrt_denoiser(transformer)
    for seed, shape in enumerate([(2, 8, 4, 6, 3, 8), (2, 8, 4, 6, 3, 8), (1, 8, 4, 6, 3, 8)]):
        inputs = inputs_of(transformer, shape, seed)
        with torch.inference_mode():
            v, eager = network(**inputs), transformer(**inputs)
        assert torch.allclose(v, eager, rtol=0, atol=1e-6)
    assert len(compiled) == 2 and compiled[0].keys() <= KNOWN_OPTIONS and compiled[0]["immutable_weights"] is False


def test_it_is_never_ready(tiny_model, compiled):
    with pytest.raises(RequestError, match="compiles while it runs; name it with --backend torch-tensorrt"):
        torch_tensorrt_denoiser(network_of(tiny_model), prepared=True)


def test_blocks_that_travel_are_refused(tiny_model, compiled):
    transformer = network_of(tiny_model)
    offload_blocks(transformer, torch.device("cpu"), torch.float32)
    with pytest.raises(RequestError, match="needs the whole transformer; take --memory full or balanced"):
        torch_tensorrt_denoiser(transformer)


def test_why_not(tiny_model, monkeypatch):
    monkeypatch.setattr(backend, "find_spec", lambda name: "found")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert why_not() is None
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert why_not() == "the backend torch-tensorrt needs an NVIDIA GPU; leave --backend auto"
    monkeypatch.setattr(backend, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match="Torch-TensorRT is not installed; pip install torch-tensorrt"):
        torch_tensorrt_denoiser(network_of(tiny_model))


def test_one_that_does_not_fit_this_torch_is_a_sentence(tiny_model, compiled, monkeypatch):
    monkeypatch.setattr(backend, "MODULE", "a_module_that_is_not_there")
    with pytest.raises(
        RequestError, match=r"cannot be loaded \(No module named 'a_module.*\); install it for this torch"
    ):
        torch_tensorrt_denoiser(network_of(tiny_model))
