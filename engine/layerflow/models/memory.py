"""How much memory is free on a device, and the memory plan that fits it."""

from __future__ import annotations

from pathlib import Path

import psutil
import torch

from layerflow.models.estimate import estimate
from layerflow.models.folder import ModelFolder
from layerflow.models.plans import PLANS, Plan

GIB = 2**30
HEADROOM = 1.1  # of an estimate has to be free,
RUNTIME_BYTES = GIB // 4  # and this for the libraries themselves
CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")
_ALLOCATORS = ("DefaultCPUAllocator", "CUDA error: out of memory", "_STATUS_ALLOC_FAILED")  # the last: its libraries
# Where a group's limit and use stand, and what of the use the kernel lets go of when asked: in version 2, in version 1.
_FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def pick_plan(
    folder: ModelFolder,
    device: torch.device,
    dtype: torch.dtype,
    free: int,
    *,
    text_precision: str = "auto",
    float8: bool = False,
) -> tuple[Plan, str]:
    """The most generous plan that fits `free` bytes, "low" when none does; and a sentence that says so."""
    for plan in PLANS:
        peak = estimate(folder, plan, device, dtype, text_precision=text_precision, float8=float8).peak
        if fits(peak, free):
            break
    room = f"about {peak / GIB:.1f} GiB of {free / GIB:.1f} free on {device}"
    return plan, f"memory plan {plan.name}: {room}" + ("" if fits(peak, free) else "; it may run out")


def fits(peak: int, free: int) -> bool:
    """Whether a shot with that estimate runs in `free` bytes."""
    return peak * HEADROOM + RUNTIME_BYTES <= free


def free_bytes(device: torch.device) -> int:
    """Bytes that are free on `device`; on a CPU also within the limit of the container."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    available = int(psutil.virtual_memory().available)
    return max(0, min([available, *_left_in_groups(OWN_CGROUPS, CGROUPS)]))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory ran out; not every allocator has an exception of its own for it."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(words in str(error) for words in _ALLOCATORS)


def _left_in_groups(own: Path, root: Path) -> list[int]:
    """Bytes left in each limited memory group that the process is in; psutil knows nothing of them."""
    left = []
    for line in _text(own).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            place = root / controllers
            inside = place / path.strip("/")
            for folder in (inside, *inside.parents):
                if folder.is_relative_to(place):
                    left += _left_in(folder)
    return left


def _left_in(folder: Path) -> list[int]:
    for limit_file, use_file, cache_name in _FILES:
        limit, use = _text(folder / limit_file).strip(), _text(folder / use_file).strip()
        if limit.isdecimal() and use.isdecimal():  # "max" is no limit
            stat = dict(line.split(" ", 1) for line in _text(folder / "memory.stat").splitlines())
            return [int(limit) - int(use) + int(stat.get(cache_name, 0))]
    return []


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
