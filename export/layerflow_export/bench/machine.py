"""The machine that a figure comes from."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch

GIB = 2**30
LIBRARIES = (
    *("layerflow", "torch", "diffusers", "numpy", "onnxruntime", "onnxruntime-gpu", "triton", "torchao"),
    *("tensorrt", "tensorrt_rtx", "torch_tensorrt"),
)


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Processor, GPU and driver if `device` is one, memory, system, versions, and how busy it is right now."""
    described: dict[str, Any] = {
        "cpu": _cpu_name(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cores": psutil.cpu_count(logical=True),
        "threads": torch.get_num_threads(),
        "memory_gib": round(psutil.virtual_memory().total / GIB, 1),
        "load": round(psutil.getloadavg()[0], 1),  # processes that wanted to run, over the last minute
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY", ""),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: found for name in LIBRARIES if (found := _version(name))},
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        described |= {
            "gpu": properties.name,
            "gpu_memory_gib": round(properties.total_memory / GIB, 1),
            "driver": _driver(),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        }
    return described


def _cpu_name() -> str:
    """The processor's name. `platform` knows it on some systems only."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _driver() -> str:
    """NVIDIA's driver version, empty where nobody says."""
    command = shutil.which("nvidia-smi")
    if not command:
        return ""
    query = [command, "--query-gpu=driver_version", "--format=csv,noheader"]
    ended = subprocess.run(query, capture_output=True, text=True, check=False)
    return next(iter(ended.stdout.splitlines()), "").strip()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
