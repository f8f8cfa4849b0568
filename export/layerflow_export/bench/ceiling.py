"""The fastest matrix products that this machine does, which is as fast as any network could run on it."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from layerflow_export.bench.flops import matmul

SIZES = {"cpu": (512, 1024, 2048), "cuda": (4096, 8192, 16384)}
CALLS = 10


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """The best of several large square matrix products."""

    device: str
    dtype: str
    size: int  # of the matrices, square
    flops_per_s: float


def measure_ceiling(device: torch.device, dtype: torch.dtype) -> Ceiling:
    """Operations per second of torch's matrix product on `device`, in `dtype` as torch computes it by default."""
    speeds = {size: _speed(size, device, dtype) for size in SIZES.get(device.type, SIZES["cpu"])}
    size = max(speeds, key=lambda size: speeds[size])
    name = str(dtype).removeprefix("torch.")
    return Ceiling(device=str(device), dtype=name, size=size, flops_per_s=speeds[size])


@torch.inference_mode()
def _speed(size: int, device: torch.device, dtype: torch.dtype) -> float:
    """The best of several calls, after one that does not count."""
    one, other = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    out = one @ other
    seconds = []
    for _ in range(CALLS):
        start = now(device)
        torch.mm(one, other, out=out)
        seconds.append(now(device) - start)
    return matmul(size, size, size) / min(seconds)


def now(device: torch.device) -> float:
    """Seconds on the clock, everything that was asked of `device` done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
