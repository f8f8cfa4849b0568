"""The ceiling comes from products that are products, the best of them."""

from __future__ import annotations

from itertools import count

import pytest
import torch

from layerflow_export.bench import ceiling

CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_every_library_multiplies(monkeypatch, dtype):
    exchange = torch.eye(8, dtype=dtype).flip(0)
    monkeypatch.setattr(ceiling.torch, "randn", lambda *size, **options: exchange)
    for product in ceiling._products(8, CPU, dtype).values():
        assert torch.equal(product().to_dense(), torch.eye(8, dtype=dtype))  # all rows exchanged, twice


def test_the_best_call_of_the_best_size_counts(monkeypatch):
    taken = {4: 2.0, 8: 1.0}
    monkeypatch.setattr(ceiling, "SIZES", {"cpu": (4, 8)})
    monkeypatch.setattr(
        ceiling, "_products", lambda size, *rest: {"slow": lambda: (size, 2.0), "fast": lambda: (size, 1.0)}
    )
    monkeypatch.setattr(ceiling, "_quickest", lambda product, device: taken[product()[0]] * product()[1])
    found = ceiling.measure_ceiling(CPU, torch.float32)
    assert (found.by, found.size, found.flops_per_s, found.dtype) == ("fast", 8, 2 * 8**3, "float32")


def test_the_first_call_does_not_count(monkeypatch):
    clock = count()
    monkeypatch.setattr(ceiling, "now", lambda device: float(next(clock)))
    calls = []
    assert ceiling._quickest(lambda: calls.append(1), CPU) == 1.0
    assert len(calls) == ceiling.CALLS + 1
