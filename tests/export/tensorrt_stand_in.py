"""What is used of TensorRT's Python modules and of torch.cuda to run an engine, on the CPU.

An engine is a file that holds an ONNX graph and its sizes. A context reads its inputs at the addresses it is given,
computes with onnxruntime and writes to the address of the output, and refuses what the real one refuses: sizes outside
the profile, a tensor without an address, recording on the default stream or before a first run. What was recorded under
`torch.cuda.graph` runs when it is replayed, and no more once the context has taken another shape.
"""

from __future__ import annotations

import contextlib
import ctypes
import enum
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from layerflow_export.core import INPUTS, OUTPUT
from layerflow_export.trt import build, runtime
from layerflow_export.trt.fusion import Fusion
from layerflow_export.trt.graph import Graph

SIZE = 64  # of a header
HEADER = b"vtrt".ljust(24, b"\0") + bytes([1, 7, 1, 116]) + bytes(4)  # 1.7.1.116; the targets follow
TARGETS = {"sm86": 0x04, "sm89": 0x08, "current": 0x08, "sm120": 0x10}
DEFAULT_STREAM = 0


class DataType(enum.Enum):
    FLOAT = np.float32
    HALF = np.float16
    BF16 = "bfloat16, which numpy has not"


class Severity(enum.Enum):
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)


class ILogger:
    def log(self, severity: Severity, message: str) -> None:
        raise NotImplementedError


class ComputeCapability(enum.Enum):
    SM86, SM89, SM120, CURRENT = range(4)


class CudaGraphStrategy(enum.Enum):
    DISABLED, WHOLE_GRAPH_CAPTURE = range(2)


class DynamicShapesKernelSpecializationStrategy(enum.Enum):
    LAZY, EAGER, NONE = range(3)


@dataclass
class Machine:
    """The GPU that is not there, and what happened on it."""

    streams: int = DEFAULT_STREAM
    current: int = DEFAULT_STREAM
    recording: list[Callable[[], None]] | None = None
    runs: list[tuple[int, ...]] = field(default_factory=list)  # the shapes of the latents that were computed
    replays: int = 0
    free_bytes: int = 2**30
    broken: str = ""  # what every call says and fails of
    settings: IRuntimeConfig | None = None  # of the context made last


class IRuntimeCache:
    def __init__(self) -> None:
        self._shapes: list[list[int]] = []

    def serialize(self) -> bytes:
        return b"kernels" + json.dumps(self._shapes).encode()

    def deserialize(self, blob: bytes) -> bool:
        if not blob.startswith(b"kernels"):
            return False
        self._shapes = json.loads(blob.removeprefix(b"kernels"))
        return True


class IRuntimeConfig:
    cuda_graph_strategy = CudaGraphStrategy.DISABLED
    dynamic_shapes_kernel_specialization_strategy = DynamicShapesKernelSpecializationStrategy.LAZY
    _kernels: IRuntimeCache | None = None

    def create_runtime_cache(self) -> IRuntimeCache:
        return IRuntimeCache()

    def set_runtime_cache(self, cache: IRuntimeCache) -> bool:
        self._kernels = cache
        return True


class IExecutionContext:
    def __init__(self, engine: ICudaEngine, settings: IRuntimeConfig | None) -> None:
        self._engine, self._settings = engine, settings
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}
        self._ran: set[tuple[int, ...]] = set()
        self._state = 0  # counts shapes: a recording is of one of them

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        low, _, high = self._engine._shapes[name]
        if not all(least <= size <= most for least, size, most in zip(low, shape, high, strict=True)):
            return self._engine._fail(f"IExecutionContext::setInputShape: Error Code 3: {name} {shape}")
        self._shapes[name] = shape
        self._state += 1
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._shapes["latents" if name == OUTPUT else name]

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        machine = self._engine._machine
        if machine.broken:
            return self._engine._fail(machine.broken)
        if missing := {*INPUTS, OUTPUT} - self._addresses.keys():
            return self._engine._fail(f"no address for {missing}")
        if stream_handle != machine.current:
            return self._engine._fail("not the stream that torch works on")
        if machine.recording is None:
            self._compute()
            return True
        if stream_handle == DEFAULT_STREAM or self._shapes["latents"] not in self._ran:
            return self._engine._fail("operation would make the legacy stream depend on a capturing blocking stream")
        machine.recording.append(self._replay_of(self._state))
        return True

    def _replay_of(self, state: int) -> Callable[[], None]:
        def replay() -> None:
            assert state == self._state, "the context has changed since the graph was recorded"
            self._compute()

        return replay

    def _compute(self) -> None:
        inputs = {name: np.array(self._at(name)) for name in INPUTS}
        (v,) = self._engine._session.run([OUTPUT], inputs)
        self._at(OUTPUT)[...] = v
        shape = self._shapes["latents"]
        self._ran.add(shape)
        self._engine._machine.runs.append(shape)
        if self._settings and self._settings._kernels:
            self._settings._kernels._shapes.append(list(shape))

    def _at(self, name: str) -> np.ndarray[Any, Any]:
        shape = self.get_tensor_shape(name)
        kind = np.dtype(self._engine.get_tensor_dtype(name).value)
        memory = (ctypes.c_char * (math.prod(shape) * kind.itemsize)).from_address(self._addresses[name])
        return np.frombuffer(memory, kind).reshape(shape)


class ICudaEngine:
    def __init__(self, logger: ILogger, machine: Machine, shapes: Mapping[str, Any], graph: bytes) -> None:
        self._logger, self._machine, self._shapes = logger, machine, shapes
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def create_runtime_config(self) -> IRuntimeConfig:
        return IRuntimeConfig()

    def create_execution_context(self, runtime_config: IRuntimeConfig | None = None) -> IExecutionContext:
        self._machine.settings = runtime_config
        return IExecutionContext(self, runtime_config)

    def get_tensor_dtype(self, name: str) -> DataType:
        kinds = {value.name: value.type for value in (*self._session.get_inputs(), *self._session.get_outputs())}
        return {"tensor(float)": DataType.FLOAT, "tensor(float16)": DataType.HALF}[kinds[name]]

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        assert profile_index == 0
        return [tuple(shape) for shape in self._shapes[name]]

    def _fail(self, message: str) -> bool:
        self._logger.log(Severity.ERROR, message)
        return False


class Runtime:
    machine: Machine

    def __init__(self, logger: ILogger) -> None:
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine: Any) -> ICudaEngine | None:
        sizes, _, graph = bytes(memoryview(serialized_engine))[SIZE:].partition(b"\n")
        if not graph or self.machine.broken:
            self._logger.log(Severity.ERROR, self.machine.broken or "Error Code 1: Serialization")
            return None
        return ICudaEngine(self._logger, self.machine, json.loads(sizes), graph)


BOTH = (DataType, ILogger, ICudaEngine, IExecutionContext, Runtime)
ONLY_RTX = (
    ComputeCapability,
    CudaGraphStrategy,
    DynamicShapesKernelSpecializationStrategy,
    IRuntimeCache,
    IRuntimeConfig,
)


def module(flavour: str, machine: Machine) -> ModuleType:
    """A module with what that flavour has."""
    made = ModuleType(flavour)
    classes = BOTH + (ONLY_RTX if flavour == "tensorrt_rtx" else ())
    vars(made).update({found.__name__: found for found in classes})
    vars(made).update(__version__="1.7.1.116" if flavour == "tensorrt_rtx" else "11.4.0.106")
    made.Runtime = type("Runtime", (Runtime,), {"machine": machine})
    return made


class Stream:
    """As torch.cuda.Stream: what waits is counted nowhere, since all is done at once."""

    def __init__(self, handle: int) -> None:
        self.cuda_stream = handle

    def wait_stream(self, stream: Stream) -> None:
        assert isinstance(stream, Stream)


class CUDAGraph:
    def __init__(self, machine: Machine) -> None:
        self.machine, self.recorded = machine, list[Callable[[], None]]()

    def replay(self) -> None:
        self.machine.replays += 1
        for step in self.recorded:
            step()


def install(flavour: str, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Puts the stand-ins where the real ones are looked for, until the test ends."""
    machine = Machine()
    for name in ("tensorrt", "tensorrt_rtx"):
        made = module(name, machine) if name == flavour else None
        monkeypatch.setitem(sys.modules, name, made)

    def new_stream() -> Stream:
        machine.streams += 1
        return Stream(machine.streams)

    @contextlib.contextmanager
    def on(stream: Stream) -> Iterator[None]:
        before, machine.current = machine.current, stream.cuda_stream
        try:
            yield
        finally:
            machine.current = before

    @contextlib.contextmanager
    def graph(recorded: CUDAGraph, stream: Stream, capture_error_mode: str) -> Iterator[None]:
        machine.recording = recorded.recorded
        try:
            with on(stream):
                yield
        finally:
            machine.recording = None

    for name, value in {
        "is_available": lambda: True,
        "mem_get_info": lambda device: (machine.free_bytes, machine.free_bytes),
        "get_device_capability": lambda: (8, 9),
        "Stream": new_stream,
        "current_stream": lambda: Stream(machine.current),
        "stream": on,
        "CUDAGraph": lambda: CUDAGraph(machine),
        "graph": graph,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(runtime, "DEVICE", "cpu")
    monkeypatch.setattr(build, "_run_builder", run_builder)
    return machine


def run_builder(
    graph: Graph, engine: Path, log: Path, sizes: Any, targets: tuple[str, ...], *, refittable: bool
) -> Fusion:
    """Stands in for the builder's process, all of whose blocks are fused."""
    model: bytes = onnx.load(graph.path).SerializeToString()
    header = HEADER + bytes([sum(TARGETS[target] for target in targets)])
    engine.write_bytes(header.ljust(SIZE, b"\0") + json.dumps(sizes).encode() + b"\n" + model)
    return Fusion(
        num_blocks=len(graph.blocks),
        unfused_attention=(),
        unmerged_qkv=(),
        fp8_products=0,
        num_layers=1,
        weights_bytes=graph.num_bytes,
        activation_bytes=1,
    )
