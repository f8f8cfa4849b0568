"""The most memory that this process took."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import psutil
import torch

_SELF = Path("/proc/self")  # Linux: the only system whose mark can be taken back


def reset_peak(device: torch.device) -> None:
    """Lets `peak_bytes` count from now on, where the system can; elsewhere it counts from the process's start."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with contextlib.suppress(OSError):
            (_SELF / "clear_refs").write_text("5")  # proc(5): resets VmHWM


def peak_bytes(device: torch.device) -> int:
    """Of torch's allocator on a GPU; of resident memory elsewhere, weights that are mapped from files included."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    with contextlib.suppress(OSError):
        lines = (_SELF / "status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    import resource

    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # bytes on a Mac
