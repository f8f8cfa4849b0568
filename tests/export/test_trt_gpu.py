"""Real engines on a real GPU, by whichever TensorRT is installed."""

from __future__ import annotations

import pytest
import torch
from networks import inputs_of, network_of

from layerflow_export.trt.denoiser import tensorrt_denoiser

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 5e-3), (torch.bfloat16, 4e-2)])
def test_v_is_that_of_eager_torch(tiny_model, tmp_path, monkeypatch, dtype, tolerance):
    monkeypatch.setenv("LAYERFLOW_CACHE", str(tmp_path))
    transformer = network_of(tiny_model, dtype).to("cuda")
    network = tensorrt_denoiser(transformer)
    for seed, shape in enumerate([(2, 8, 4, 6, 3, 8)] * 3 + [(1, 4, 4, 6, 3, 5)] * 3 + [(2, 8, 4, 6, 3, 8)]):
        inputs = {name: value.to("cuda") for name, value in inputs_of(transformer, shape, seed).items()}
        with torch.inference_mode():
            v, eager = network(**inputs), transformer(**inputs)
        assert (v - eager).abs().max() < tolerance * eager.abs().max()
    tensorrt_denoiser(transformer, prepared=True)
