"""A bench on a real GPU: the peer is ours there too, and what is measured is there."""

from __future__ import annotations

import pytest
import torch
from networks import inputs_of, network_of

from layerflow_export.bench.case import Case
from layerflow_export.bench.ceiling import measure_ceiling
from layerflow_export.bench.peer import peer_network
from layerflow_export.bench.rounds import Bench, Plan

pytestmark = pytest.mark.gpu


@torch.inference_mode()
def test_the_peer_is_ours(released_model):
    transformer = network_of(released_model, torch.bfloat16).to("cuda")
    inputs = {name: value.to("cuda") for name, value in inputs_of(transformer, (2, 16, 4, 6, 3, 8)).items()}
    eager = transformer(**inputs)
    assert (peer_network(transformer)(**inputs) - eager).abs().max() <= 1e-2 * eager.abs().max()


@pytest.mark.usefixtures("one_process")
def test_everything_is_measured(released_model):
    plan = Plan(case=Case(model=str(released_model), device="cuda"), backends=("diffusers", "eager"), rounds=2)
    report = Bench(plan, "bench", lambda said: None, lambda report: None).run()
    assert report.machine["gpu"] and report.machine["driver"]
    for row in report.rows:
        assert row.precision == "bfloat16" and row.peak_bytes > 0 and row.flops_share > 0
        assert row.closeness.v_parts < 5e-2 and row.closeness.picture_psnr > 30


def test_a_gpu_multiplies_faster_in_half_precision():
    device = torch.device("cuda")
    assert measure_ceiling(device, torch.bfloat16).flops_per_s > measure_ceiling(device, torch.float32).flops_per_s
