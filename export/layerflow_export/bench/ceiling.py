"""The fastest matrix products that this machine does, which is as fast as any network could run on it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as nnf

from layerflow_export.bench.flops import matmul

SIZES = {"cpu": (512, 1024, 2048), "cuda": (4096, 8192, 16384)}
CALLS = 10


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """The best of several large square matrix products."""

    device: str
    dtype: str
    by: str  # which library's
    size: int  # of the matrices
    flops_per_s: float


def measure_ceiling(device: torch.device, dtype: torch.dtype) -> Ceiling:
    """The most operations per second of any library that torch brings, in `dtype` as torch computes it by default."""
    speeds = {
        (size, name): matmul(size, size, size) / _quickest(product, device)
        for size in SIZES.get(device.type, SIZES["cpu"])
        for name, product in _products(size, device, dtype).items()
    }
    size, name = max(speeds, key=lambda key: speeds[key])
    kind = str(dtype).removeprefix("torch.")
    return Ceiling(device=str(device), dtype=kind, by=name, size=size, flops_per_s=speeds[size, name])


def _products(size: int, device: torch.device, dtype: torch.dtype) -> dict[str, Callable[[], object]]:
    """Square matrix products, by the library that computes them.

    On a CPU torch multiplies float32 by MKL, which on an AMD processor with AVX-512 reaches half of what oneDNN does.
    """
    one, other = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    products: dict[str, Callable[[], object]] = {"torch": lambda: one @ other}
    has_onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if device.type == "cpu" and dtype == torch.float32 and has_onednn:
        packed, weight = one.to_mkldnn(), other.to_mkldnn()
        products["oneDNN"] = lambda: nnf.linear(packed, weight)
    return products


@torch.inference_mode()
def _quickest(product: Callable[[], object], device: torch.device) -> float:
    """Seconds of the quickest of several calls, after one that does not count."""
    product()
    seconds = []
    for _ in range(CALLS):
        start = now(device)
        product()
        seconds.append(now(device) - start)
    return min(seconds)


def now(device: torch.device) -> float:
    """Seconds on the clock, everything that was asked of `device` done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
