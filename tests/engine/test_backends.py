"""Which backend is taken, how it is held against eager torch, and what is done when it is wrong or fails."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from layerflow.denoisers import OwnThreads, suiting_threads
from layerflow.errors import Interrupted, ModelError, RequestError
from layerflow.models import backends as module
from layerflow.models.backends import AUTO, Guarded, open_backend

CPU = torch.device("cpu")
INPUTS = (torch.arange(8.0), torch.zeros(1), torch.zeros(1), torch.zeros(1), None)


def twice(latents: Tensor, *others: Any) -> Tensor:
    return 2.0 * latents


@dataclass
class Backend:
    """An entry point, the function behind it and its network: twice the latents, plus `off`."""

    name: str
    off: float = 0.0
    refuses: str = ""
    fails: Exception | None = None
    asked: list[bool] = field(default_factory=list)
    calls: int = 0

    def load(self) -> Any:
        return self.make

    def make(self, transformer: Any, *, prepared: bool = False) -> Any:
        self.asked.append(prepared)
        if self.refuses:
            raise RequestError(self.refuses)
        return self.network

    def network(self, latents: Tensor, *others: Any) -> Tensor:
        self.calls += 1
        if self.fails is not None:
            raise self.fails
        return 2.0 * latents + self.off


class Transformer(torch.nn.Module):
    dtype = torch.float32
    calls = 0

    def forward(self, latents: Tensor, *others: Any) -> Tensor:
        self.calls += 1
        return twice(latents)


@pytest.fixture
def there(monkeypatch):
    """Makes these the backends that other packages bring, and the first two what auto takes on a CPU."""

    def bring(*brought: Backend) -> None:
        monkeypatch.setattr(module, "entry_points", lambda group: brought)
        monkeypatch.setitem(AUTO, "cpu", tuple(backend.name for backend in brought))

    return bring


def test_auto_takes_the_first_that_is_ready(there):
    slow, fast, other = Backend("slow", refuses="not built"), Backend("fast"), Backend("other")
    there(slow, fast, other)
    network = open_backend("auto", Transformer(), device=CPU)
    assert isinstance(network, Guarded) and network.backend == "fast"
    assert (slow.asked, fast.asked, other.asked) == ([True], [True], [])


def test_auto_is_eager_where_nothing_is_ready(there):
    there(Backend("slow", refuses="not built"))
    transformer = Transformer()
    assert open_backend("auto", transformer, device=CPU) is transformer
    assert open_backend("auto", transformer, device=torch.device("meta")) is transformer
    assert open_backend("eager", transformer, device=CPU) is transformer


def test_steps_that_leave_out_blocks_need_some(there, monkeypatch):
    whole, blocks = Backend("whole"), Backend("blocks")
    there(whole, blocks)
    monkeypatch.setattr(module, "IN_ONE_PIECE", {"whole"})
    network = open_backend("auto", Transformer(), device=CPU, by_blocks=True)
    assert isinstance(network, Guarded) and network.name == "blocks"


def test_a_backend_by_name_may_take_its_time_and_says_what_is_missing(there):
    named, missing = Backend("named"), Backend("missing", refuses="needs a GPU; leave --backend auto")
    there(named, missing)
    open_backend("named", Transformer(), device=CPU)
    assert named.asked == [False]
    with pytest.raises(RequestError, match="needs a GPU"):
        open_backend("missing", Transformer(), device=CPU)


def test_a_shot_goes_on_with_the_backend_it_was_begun_with(there):
    first, begun, gone = Backend("first"), Backend("begun"), Backend("gone", refuses="needs a GPU; take another")
    there(first, begun, gone)
    said: list[str] = []
    network = open_backend("auto", Transformer(), device=CPU, begun_with="begun", warn=said.append)
    assert isinstance(network, Guarded) and network.name == "begun" and not said
    transformer = Transformer()
    assert open_backend("auto", transformer, device=CPU, begun_with="eager") is transformer
    network = open_backend("auto", Transformer(), device=CPU, begun_with="gone", warn=said.append)
    assert isinstance(network, Guarded) and network.name == "first"
    assert said == [
        "the shot was begun with backend gone; needs a GPU; take another; what follows may look a little different"
    ]


def guarded(there: Any, backend: Backend) -> tuple[Guarded, Transformer, list[str]]:
    there(backend)
    transformer, said = Transformer(), list[str]()
    network = open_backend(backend.name, transformer, device=CPU, warn=said.append)
    assert isinstance(network, Guarded)
    return network, transformer, said


def test_the_first_step_is_held_against_eager_and_no_other(there):
    network, transformer, said = guarded(there, Backend("good", off=1e-5))
    first, second = network(*INPUTS), network(*INPUTS)
    assert torch.equal(first, twice(*INPUTS) + 1e-5) and torch.equal(second, first)
    assert transformer.calls == 1 and network.backend == "good" and not said


@pytest.mark.parametrize("off", [1e-2, float("nan"), float("inf")])
def test_a_wrong_backend_never_makes_a_step(there, off):
    backend = Backend("wrong", off=off)
    network, transformer, said = guarded(there, backend)
    assert torch.equal(network(*INPUTS), twice(*INPUTS)) and torch.equal(network(*INPUTS), twice(*INPUTS))
    assert backend.calls == 1 and transformer.calls == 2 and network.backend == "eager"
    assert len(said) == 1 and "backend wrong is " in said[0] and said[0].endswith("the shot goes on with eager")


def test_numbers_that_run_out_of_range_in_eager_too_are_no_fault_of_the_backend(there):
    network, _, said = guarded(there, Backend("good"))
    network(torch.full((8,), float("inf")), *INPUTS[1:])
    assert network.backend == "good" and not said


@pytest.mark.parametrize("error", [ModelError("the engine is gone"), RuntimeError("a kernel failed")])
def test_a_backend_that_fails_on_the_way_gives_way_with_one_warning(there, error):
    backend = Backend("frail")
    network, _, said = guarded(there, backend)
    network(*INPUTS)
    backend.fails = error
    assert torch.equal(network(*INPUTS), twice(*INPUTS)) and torch.equal(network(*INPUTS), twice(*INPUTS))
    assert backend.calls == 2 and network.backend == "frail, eager"
    assert said == [f"backend frail failed ({error}); the shot goes on with eager"]


@pytest.mark.parametrize("error", [MemoryError("no room"), torch.OutOfMemoryError("no room"), Interrupted("stopped")])
def test_memory_that_runs_out_and_a_wish_to_stop_are_not_the_backends_fault(there, error):
    network, _, said = guarded(there, Backend("full", fails=error))
    with pytest.raises(type(error)):
        network(*INPUTS)
    assert network.backend == "full" and not said


def test_beside_a_runtime_with_threads_torch_has_one_but_for_eager_steps(there):
    before, seen = torch.get_num_threads(), []
    torch.set_num_threads(2)
    try:
        backend = Backend("threads", off=1.0)
        backend.make = lambda transformer, *, prepared=False: OwnThreads(backend.network)
        network, transformer, _ = guarded(there, backend)
        transformer.register_forward_pre_hook(lambda *_: seen.append(torch.get_num_threads()))
        with suiting_threads(network):
            assert torch.get_num_threads() == 1
            network(*INPUTS)
        assert torch.get_num_threads() == 2 and seen == [2]
        with suiting_threads(network):  # which is eager now
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
