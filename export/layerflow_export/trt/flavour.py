"""Which TensorRT there is: the full one where it is installed, TensorRT-RTX otherwise. Both have one Python surface."""

from __future__ import annotations

import contextlib
import importlib
from dataclasses import dataclass
from types import ModuleType

from layerflow.errors import RequestError

CURRENT = "current"  # the GPU of this machine
WORKSTATIONS = ("sm86", "sm89", "sm120")  # RTX 30, 40 and 50


@dataclass(frozen=True, kw_only=True)
class Flavour:
    """What builds and runs an engine."""

    name: str  # of the module: tensorrt or tensorrt_rtx
    version: str
    targets: tuple[str, ...]  # GPU generations it builds for without having one; empty: only for the GPU that is there

    def checked_targets(self, targets: tuple[str, ...], *, fp8: bool = False) -> tuple[str, ...]:
        """`targets`, sorted and each once, or what goes without saying. Raises RequestError for one it cannot have.

        With `fp8` they are GPUs that compute in it.
        """
        if not targets:
            return tuple(each for each in WORKSTATIONS if has_fp8(each) or not fp8) if self.targets else (CURRENT,)
        if targets == (CURRENT,):
            return targets
        if not self.targets:
            raise RequestError(f"TensorRT {self.version} builds only for the GPU it runs on; pass --target {CURRENT}")
        for target in targets:
            if target not in self.targets:
                known = ", ".join(self.targets)
                raise RequestError(f"TensorRT-RTX {self.version} does not build for {target!r}; it knows {known}")
        if fp8:
            refuse_without_fp8(targets)
        return tuple(sorted(set(targets), key=self.targets.index))


def has_fp8(target: str) -> bool:
    """Whether a generation of GPUs multiplies FP8: Ada and Hopper were the first."""
    return int(target.removeprefix("sm")) >= 89


def refuse_without_fp8(targets: tuple[str, ...]) -> None:
    """Raises RequestError for a target that does not multiply FP8."""
    if lacking := [target for target in targets if not has_fp8(target)]:
        raise RequestError(f"{lacking[0]} has no FP8; build for sm89 or later, or with --precision bf16")


def load() -> ModuleType:
    """The module of either flavour. Raises RequestError where neither is installed."""
    for name in ("tensorrt", "tensorrt_rtx"):
        with contextlib.suppress(ImportError):
            return importlib.import_module(name)
    raise RequestError("neither TensorRT nor TensorRT-RTX is installed; pip install 'layerflow[export,tensorrt-rtx]'")


def installed() -> Flavour:
    """The flavour of this installation. Raises RequestError where there is none."""
    trt = load()
    return Flavour(name=trt.__name__, version=trt.__version__, targets=_targets(trt))


def _targets(trt: ModuleType) -> tuple[str, ...]:
    if not hasattr(trt, "ComputeCapability"):
        return ()
    names = [name.lower() for name in trt.ComputeCapability.__members__ if name.startswith("SM")]
    return tuple(sorted(names, key=lambda name: int(name[2:])))
