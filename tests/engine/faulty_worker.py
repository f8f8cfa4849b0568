"""Runs a module as `python -m` does, in a process in which things go wrong: `faulty_worker.py FOLDER -m MODULE ...`.

A file in FOLDER is one thing that goes wrong for as long as the file is there; what is in it says where.
"""

from __future__ import annotations

import errno
import os
import runpy
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from layerflow import exr, files
from layerflow.sampler import Sampler

FAULTS = Path(sys.argv[1])


def wanted(fault: str) -> str | None:
    """Where that fault is to be."""
    try:
        return (FAULTS / fault).read_text()
    except OSError:
        return None


def once(fault: str, where: str) -> bool:
    """Whether that fault is to be here; then not a second time."""
    if wanted(fault) != where:
        return False
    (FAULTS / fault).unlink()
    return True


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def step(self: Sampler, state: Any, *rest: Any, _real: Any = Sampler.step, **options: Any) -> Any:
    if wanted("memory") == "always" or once("memory", f"step {state.step}"):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    if wanted("killed") == "at every step" or once("killed", f"step {state.step}"):
        die()
    return _real(self, state, *rest, **options)


def sync(path: Path, _real: Any = files.sync) -> None:
    _real(path)
    if wanted("full disk") and path.name == wanted("full disk"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if once("killed", path.name):
        die()
    if once("lost by the disk", path.name):
        os.truncate(path, path.stat().st_size // 2)


def verify_frame(path: Path, _real: Any = exr.verify_frame) -> bool:
    if once("killed", f"checking {path.name}"):
        die()
    return bool(_real(path))


def disk_usage(path: Path, _real: Any = shutil.disk_usage) -> Any:
    return shutil._ntuple_diskusage(10**9, 10**9 - 1000, 1000) if wanted("no room") else _real(path)


def main() -> None:
    Sampler.step, files.sync, exr.verify_frame = step, sync, verify_frame  # type: ignore[method-assign]
    shutil.disk_usage = disk_usage
    module = sys.argv[3]
    sys.argv[1:] = sys.argv[4:]
    runpy.run_module(module, run_name="__main__")


if __name__ == "__main__":
    main()
