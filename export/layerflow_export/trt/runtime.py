"""A loaded engine: every input of the graph by name in, v out.

All memory is taken when it is loaded: the engine's weights, one context for its largest sizes, and a buffer for each
input and for v. What is launched for one step is recorded as a CUDA graph at the first step of a shape: by TensorRT-RTX
itself, around the full TensorRT by torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from layerflow.errors import RequestError
from layerflow_export.core import INPUTS, OUTPUT
from layerflow_export.trt import flavour as flavours
from layerflow_export.trt.context import Log, new_context, open_engine, save_kernels

DEVICE = "cuda"

LATENTS = INPUTS[0]  # v is shaped like them
Shapes = dict[str, tuple[int, ...]]  # of every input


class EngineCore:
    """The core of the network as an engine. Calls of one instance follow each other; it is not for several threads."""

    def __init__(self, path: Path) -> None:
        """Loads the engine at `path`, which `checked_engine` passed.

        Raises ModelError where TensorRT refuses it, MemoryError where the GPU has no room for it.
        """
        trt = flavours.load()
        self.log = Log.of(trt)
        self.engine = open_engine(trt, self.log, path)
        # On the default stream TensorRT would wait for all others, and nothing could be recorded.
        self.stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self.kernels_path = path.with_suffix(".kernels")
        self.context, self.kernels = new_context(trt, self.log, self.engine, self.kernels_path)
        self.records_itself = self.kernels is not None
        self.buffers = {name: self._buffer(trt, name) for name in (*INPUTS, OUTPUT)}
        self.device = self.buffers[OUTPUT].device
        self.shapes: Shapes = {}
        self.graph: torch.cuda.CUDAGraph | None = None

    def _buffer(self, trt: Any, name: str) -> Tensor:
        """A flat buffer that the context reads or writes, for the largest shape."""
        types = {trt.DataType.FLOAT: torch.float32, trt.DataType.HALF: torch.float16, trt.DataType.BF16: torch.bfloat16}
        largest = self.engine.get_tensor_profile_shape(LATENTS if name == OUTPUT else name, 0)[2]
        buffer = torch.empty(math.prod(largest), dtype=types[self.engine.get_tensor_dtype(name)], device=DEVICE)
        self.log.expect(self.context.set_tensor_address(name, buffer.data_ptr()))
        return buffer

    def __call__(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """v, a copy of its own. `inputs` are within the profile, on the GPU, and become the engine's types.

        Raises ModelError or MemoryError where TensorRT fails, RequestError for inputs that are somewhere else.
        """
        if (device := inputs[LATENTS].device) != self.device:
            raise RequestError(f"the backend tensorrt runs on {self.device}, not on {device}; leave --device auto")
        shapes = {name: tuple(value.shape) for name, value in inputs.items()}
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            is_new = shapes != self.shapes
            if is_new:
                self._set_shapes(shapes)
            for name, value in inputs.items():
                self._view(name, shapes[name]).copy_(value)
            self._run(is_new)
        torch.cuda.current_stream().wait_stream(self.stream)
        return self._view(OUTPUT, shapes[LATENTS]).clone()

    def _view(self, name: str, shape: tuple[int, ...]) -> Tensor:
        return self.buffers[name][: math.prod(shape)].view(shape)

    def _set_shapes(self, shapes: Shapes) -> None:
        self.graph = None  # it is of the context as it was
        self.shapes = {}  # should one be refused
        for name, shape in shapes.items():
            self.log.expect(self.context.set_input_shape(name, shape))
        self.shapes = shapes

    def _run(self, is_new: bool) -> None:
        if self.graph is not None:
            self.graph.replay()
            return
        self._enqueue()
        if not is_new:
            return
        if self.records_itself:
            save_kernels(self.kernels, self.kernels_path)
        else:
            self._record()

    def _record(self) -> None:
        """Has the next steps of this shape replay what the one just run launched. Nothing is run for it."""
        graph = torch.cuda.CUDAGraph()
        # Another thread may be allocating for the frames of the window before.
        with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
            self._enqueue()
        self.graph = graph

    def _enqueue(self) -> None:
        self.log.expect(self.context.execute_async_v3(torch.cuda.current_stream().cuda_stream))
