"""An engine opened, and the one context it runs in."""

from __future__ import annotations

import contextlib
import functools
import mmap
from collections import deque
from pathlib import Path
from types import ModuleType
from typing import Any

from layerflow.errors import ModelError, OutputError
from layerflow.files import atomic_path

_OUT_OF_MEMORY = ("out of memory", "outofmemory")  # as CUDA says it, as TensorRT does


class Log:
    """What TensorRT last said went wrong."""

    def __init__(self, logger: Any, errors: deque[str]) -> None:
        self.logger, self.errors = logger, errors

    @staticmethod
    @functools.cache
    def of(trt: ModuleType) -> Log:
        """The one log of this process: TensorRT keeps the first logger that it is given."""
        errors: deque[str] = deque(maxlen=4)

        class Logger(trt.ILogger):  # type: ignore[misc, name-defined]
            """Keeps errors; the rest is for those who build."""

            def log(self, severity: Any, message: str) -> None:
                if severity.name.endswith("ERROR"):
                    errors.append(message.strip())

        return Log(Logger(), errors)

    def expect(self, result: Any) -> Any:
        """`result` of a call. Where it is nothing, MemoryError when memory ran out and ModelError otherwise."""
        if result is not None and result is not False:
            self.errors.clear()
            return result
        reason = self.errors[0] if self.errors else "it does not say why"
        said = " ".join(self.errors)
        self.errors.clear()
        if any(words in said.lower() for words in _OUT_OF_MEMORY):
            raise MemoryError(reason)
        raise ModelError(f"TensorRT cannot run this engine ({reason}); build it anew, or take --backend eager")


def open_engine(trt: ModuleType, log: Log, path: Path) -> Any:
    """The engine in that file, its weights on the GPU. Raises ModelError or MemoryError."""
    runtime = trt.Runtime(log.logger)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return log.expect(runtime.deserialize_cuda_engine(data))


def new_context(trt: ModuleType, log: Log, engine: Any, kernels_path: Path) -> tuple[Any, Any]:
    """A context with memory for the largest sizes; and the kernels that TensorRT-RTX compiles, None without it.

    TensorRT-RTX compiles for the GPU that is there and for each shape. Left to itself it does so while it runs, and
    goes on with other kernels, and other last bits, when they are ready. Here it waits for them.
    """
    if not hasattr(trt, "CudaGraphStrategy"):
        return log.expect(engine.create_execution_context()), None
    settings = engine.create_runtime_config()
    settings.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
    settings.dynamic_shapes_kernel_specialization_strategy = trt.DynamicShapesKernelSpecializationStrategy.EAGER
    kernels = settings.create_runtime_cache()
    with contextlib.suppress(OSError):
        kernels.deserialize(kernels_path.read_bytes())  # takes none of another GPU, driver or version
    log.expect(settings.set_runtime_cache(kernels))
    return log.expect(engine.create_execution_context(settings)), kernels


def save_kernels(kernels: Any, path: Path) -> None:
    """Keeps compiled kernels for the next time, where that is possible."""
    compiled = memoryview(kernels.serialize()).tobytes()
    with contextlib.suppress(OSError, OutputError):
        if not path.exists() or path.read_bytes() != compiled:
            with atomic_path(path) as part:
                part.write_bytes(compiled)
