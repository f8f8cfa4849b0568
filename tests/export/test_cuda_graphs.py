"""When a core is recorded and replayed, on a device of our own that notes what it is told."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from networks import inputs_of, network_of
from torch import Tensor

from layerflow.denoisers import interruptible
from layerflow.errors import Interrupted
from layerflow.models.folder import open_model
from layerflow.step_cache import Reuse, reusing
from layerflow.transformer import LayerFlowTransformer
from layerflow_export.cuda_graphs import CudaRecorder, Graphed, addresses, graphed

pytestmark = pytest.mark.usefixtures("one_thread")
ONE, TWO, OTHER = (1, 8, 4, 6, 3, 8), (2, 8, 4, 6, 3, 8), (1, 8, 2, 6, 3, 8)


class Device:
    """As a GPU does: what it replays reads and writes the very memory it did when it was recorded."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def warm_up(self, work: Callable[[], Tensor]) -> Tensor:
        self.told.append("warm up")
        return work()

    def record(self, work: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        self.told.append("record")
        result = torch.full_like(work(), torch.nan)  # recorded work has not run

        def replay() -> None:
            self.told.append("replay")
            result.copy_(work())

        return replay, result


class FullDevice(Device):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def record(self, work: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        raise self.error


@pytest.fixture
def network(tiny_model: Path) -> LayerFlowTransformer:
    return network_of(tiny_model)


def run(network: LayerFlowTransformer, core: Callable[..., Tensor], shape: tuple[int, ...], seed: int = 5) -> Tensor:
    with torch.inference_mode():
        return network.around(core, *inputs_of(network, shape, seed).values())


def check(network: LayerFlowTransformer, core: Callable[..., Tensor], shape: tuple[int, ...], seed: int = 5) -> None:
    assert torch.equal(run(network, core, shape, seed), run(network, network.core, shape, seed))


def test_the_second_call_is_recorded_and_from_then_on_replayed(network: LayerFlowTransformer) -> None:
    core = Graphed(network, device := Device())
    for seed in range(4):
        check(network, core, ONE, seed)
    assert device.told == ["warm up", "record", "replay", "replay", "replay"]


def test_a_result_is_not_written_over_by_the_next(network: LayerFlowTransformer) -> None:
    core, results = Graphed(network, Device()), list[Tensor]()

    def kept(*inputs: Tensor) -> Tensor:
        results.append(core(*inputs))
        return results[-1]

    for seed in range(4):
        run(network, kept, ONE, seed)
    assert len({result.data_ptr() for result in results}) == 4


def test_a_guided_and_an_unguided_step_take_turns(network: LayerFlowTransformer) -> None:
    core = Graphed(network, device := Device())
    for shape in (ONE, TWO) * 3:
        check(network, core, shape)
    assert device.told.count("record") == device.told.count("warm up") == 2


def test_another_size_drops_the_oldest(network: LayerFlowTransformer) -> None:
    core = Graphed(network, device := Device())
    for shape in (ONE, ONE, TWO, TWO, OTHER, TWO, ONE):
        check(network, core, shape)
    assert device.told.count("record") == 2 and device.told[-1] == "warm up"


def test_weights_that_moved_are_not_read_where_they_were(network: LayerFlowTransformer) -> None:
    core = Graphed(network, device := Device())
    for _ in range(2):
        check(network, core, ONE)
    moved = [torch.nn.Parameter(weight * 0.5) for weight in network.parameters()]
    for weight, new in zip(network.parameters(), moved, strict=True):
        weight.data = new.data
    check(network, core, ONE)
    assert device.told == ["warm up", "record", "replay", "warm up"]


def test_steps_that_reuse_each_other_are_not_recorded(network: LayerFlowTransformer, tiny_model: Path) -> None:
    layout = open_model(tiny_model).layout("generate")
    core = Graphed(network, device := Device())
    with reusing(network, layout, Reuse(limit=0.0, alpha_limit=0.0)) as begin:
        for step in range(3):
            begin(step)
            run(network, core, (1, layout.num_latents, 4, 6, 3, 8))
    assert device.told == []
    check(network, core, ONE)
    assert device.told == ["warm up"]


def test_a_wish_to_stop_while_recording_leaves_nothing_half_done(network: LayerFlowTransformer) -> None:
    core = Graphed(network, device := Device())
    check(network, core, ONE)
    with interruptible(network, lambda: True), pytest.raises(Interrupted):
        run(network, core, ONE)
    check(network, core, ONE)
    assert device.told == ["warm up", "record", "record", "replay"]


def test_what_cannot_be_recorded_is_told_once(network: LayerFlowTransformer, caplog) -> None:
    core = Graphed(network, FullDevice(RuntimeError("operation not permitted when stream is capturing")))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            check(network, core, ONE)
    assert len(caplog.messages) == 1 and "not permitted" in caplog.messages[0]


def test_memory_that_runs_out_is_told_as_such(network: LayerFlowTransformer) -> None:
    core = Graphed(network, FullDevice(torch.OutOfMemoryError("CUDA out of memory")))
    check(network, core, ONE)
    with pytest.raises(torch.OutOfMemoryError):
        run(network, core, ONE)


def test_on_a_cpu_nothing_is_recorded(network: LayerFlowTransformer) -> None:
    assert graphed(network) == network.core


def test_a_quantized_weight_is_where_its_parts_are() -> None:
    parts = {"scale": torch.ones(2), "numbers": torch.ones(3)}
    quantized = SimpleNamespace(**parts, __tensor_flatten__=lambda: (["scale", "numbers"], None))
    assert list(addresses(quantized)) == [part.data_ptr() for part in parts.values()]


@pytest.mark.gpu
def test_on_a_gpu_the_numbers_are_those_without_graphs(network: LayerFlowTransformer) -> None:
    network.cuda()
    core = Graphed(network, CudaRecorder(torch.device("cuda")))
    for seed, shape in enumerate((ONE, ONE, TWO, ONE, TWO, TWO)):
        inputs = {name: value.cuda() for name, value in inputs_of(network, shape, seed).items()}
        with torch.inference_mode():
            v, plain = (network.around(either, *inputs.values()) for either in (core, network.core))
        assert (v - plain).abs().max() <= 2e-6 * plain.std()
