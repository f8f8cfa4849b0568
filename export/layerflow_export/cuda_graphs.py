"""The network's core launched as one CUDA graph: the CPU tells the GPU once what to do in every step."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from layerflow.models.memory import is_out_of_memory
from layerflow.transformer import LayerFlowTransformer
from layerflow_export.block_switch import is_hooked

MAX_GRAPHS = 2  # of one size: with the unconditional half, and without
Work = Callable[[], Tensor]

logger = logging.getLogger(__name__)


def graphed(transformer: LayerFlowTransformer) -> Callable[..., Tensor]:
    """The core of `transformer`, as CUDA graphs where its weights are on a GPU: there they stay."""
    device = transformer.device
    return Graphed(transformer, CudaRecorder(device)) if device.type == "cuda" else transformer.core


class Recorder(Protocol):
    """Notes down what a device is told to do, so that it can be told again at once."""

    def warm_up(self, work: Work) -> Tensor:
        """What `work` returns, run beside what else the device does."""
        ...

    def record(self, work: Work) -> tuple[Callable[[], None], Tensor]:
        """A function that does `work` again, which has not run yet, and where its result will be.

        It reads its inputs and writes its result where they were in memory. Raises RuntimeError for what cannot be
        recorded.
        """
        ...


class CudaRecorder:
    """Records on a GPU. All records share their working memory, so only one of them may run at a time."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()
        self._beside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch has no types here

    def warm_up(self, work: Work) -> Tensor:
        """As `Recorder.warm_up`."""
        here = torch.cuda.current_stream(self._device)
        self._beside.wait_stream(here)
        with torch.cuda.stream(self._beside):
            result = work()
        here.wait_stream(self._beside)
        return result

    def record(self, work: Work) -> tuple[Callable[[], None], Tensor]:
        """As `Recorder.record`."""
        graph = torch.cuda.CUDAGraph()
        # Another thread may decode a finished window meanwhile; the mode that is torch's default fails of that.
        recording = torch.cuda.graph(graph, pool=self._pool, stream=self._beside, capture_error_mode="thread_local")
        with torch.cuda.device(self._device), recording:
            result = work()
        return graph.replay, result


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A recorded core: where it reads, how it runs, where it writes."""

    inputs: tuple[Tensor, ...]
    replay: Callable[[], None]
    result: Tensor

    def __call__(self, *inputs: Tensor) -> Tensor:
        """The core's result for `inputs`, in memory of its own."""
        for static, given in zip(self.inputs, inputs, strict=True):
            static.copy_(given)
        self.replay()
        return self.result.clone()


class Graphed:
    """The core of a transformer, recorded in the second call with some shapes and replayed from then on.

    The first call runs as it would without graphs: it compiles, measures and allocates what none may contain. Records
    are dropped for those of newer shapes, and all of them when a weight moves. While steps reuse each other, the blocks
    are called one by one. What cannot be recorded is told once, and runs without.
    """

    def __init__(self, transformer: LayerFlowTransformer, recorder: Recorder) -> None:
        self._transformer, self._core, self._recorder = transformer, transformer.core, recorder
        self._records: dict[tuple[object, ...], Recorded | None] = {}  # None: called once
        self._weights: tuple[int, ...] = ()
        self._works = True

    @torch.inference_mode()
    def __call__(self, *inputs: Tensor) -> Tensor:
        """As `LayerFlowTransformer.core`, whose inputs are on the GPU."""
        if not self._works or is_hooked(self._transformer):
            return self._core(*inputs)
        if self._places() != self._weights:
            self._records.clear()
        key = tuple((each.shape, each.dtype) for each in inputs)
        if key not in self._records:
            result = self._recorder.warm_up(partial(self._core, *inputs))
            self._keep(key, None)
            self._weights = self._places()  # the first call may have moved them
            return result
        recorded = self._records[key] or self._record(inputs)
        if recorded is None:
            return self._core(*inputs)
        self._keep(key, recorded)
        return recorded(*inputs)

    def _record(self, inputs: Sequence[Tensor]) -> Recorded | None:
        static = tuple(each.clone() for each in inputs)
        try:
            replay, result = self._recorder.record(partial(self._core, *static))
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            logger.warning("no CUDA graph could be recorded, so steps run without one: %s", error)
            self._works = False
            self._records.clear()
            return None
        return Recorded(inputs=static, replay=replay, result=result)

    def _keep(self, key: tuple[object, ...], recorded: Recorded | None) -> None:
        """Notes it as the newest; the oldest goes."""
        self._records.pop(key, None)
        self._records[key] = recorded
        while len(self._records) > MAX_GRAPHS:
            del self._records[next(iter(self._records))]

    def _places(self) -> tuple[int, ...]:
        return tuple(place for weight in self._transformer.parameters() for place in addresses(weight))


def addresses(tensor: Tensor) -> Iterator[int]:
    """Where its numbers are in memory; a quantized one has several kinds of them."""
    parts: list[str] = tensor.__tensor_flatten__()[0] if hasattr(tensor, "__tensor_flatten__") else []
    for name in parts:
        yield from addresses(getattr(tensor, name))
    if not parts:
        yield tensor.data_ptr()
