"""One shot by several processes, held against one process."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from rendering import PROMPTS, channels, frames, header, render, write_plate
from together import ended, started
from torch import distributed

from layerflow.errors import Interrupted, ProcessLost, RequestError
from layerflow.models import load, split
from layerflow.models.engines import Engines
from layerflow.models.folder import open_model
from layerflow.models.load import LoadOptions, load_engine
from layerflow.models.split import SplitNetwork, can_split, own_device
from layerflow.processes import Processes

TOLERANCE = 2e-3  # of a half float near 1; v of two processes is 2e-6 of its largest number off that of one
LONG = 100  # steps, for time to end a process in

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_plate(tmp_path_factory.mktemp("plate"))


def command(model: Path, output: Path, plate: str, *more: str) -> list[str | Path]:
    prompts = [f"--{name}={prompt}" for name, prompt in PROMPTS.items()]
    return ["decompose", plate, *prompts, "--model", model, "-o", output / "dog.%04d.exr", *more]


def difference(one: Path, other: Path) -> float:
    """The most that any number of any frame is off."""
    assert sorted(frames(one)) == sorted(frames(other))
    pairs = [(channels(one / name), channels(other / name)) for name in frames(one)]
    return max(float(np.abs(a[name] - b[name]).max()) for a, b in pairs for name in a)


def test_two_processes_make_the_frames_of_one(tiny_model: Path, plate: str, tmp_path: Path) -> None:
    main, other = ended(started(command(tiny_model, tmp_path / "two", plate)))
    assert main[0] == 0 and "11 frames" in main[1]
    assert other == (0, "", "")
    render(tiny_model, tmp_path / "one", plate=plate, backend="eager")
    assert difference(tmp_path / "one", tmp_path / "two") <= TOLERANCE
    said = [header(tmp_path / folder / "dog.1001.exr") for folder in ("one", "two")]
    assert [each["layerflow:processes"] for each in said] == ["1", "2"]
    assert {each["layerflow:backend"] for each in said} == {"eager"}


@pytest.mark.long
@pytest.mark.parametrize("who", [0, 1])
def test_a_shot_goes_on_in_one_process_where_one_of_two_was_killed(
    tiny_model: Path, plate: str, tmp_path: Path, who: int
) -> None:
    processes = started(command(tiny_model, tmp_path / "two", plate, "--frames=1001-1008", f"--steps={LONG}"))
    kill_in_the_midst(processes, who, tmp_path / "two")
    survivor = ended(processes)[1 - who]
    assert survivor[0] == ProcessLost.exit_code
    assert survivor[2].splitlines()[-1].startswith("layerflow: another of the processes")
    assert "Traceback" not in survivor[2]
    asked = {"plate": plate, "first_frame": 1001, "last_frame": 1008, "steps": LONG}
    assert render(tiny_model, tmp_path / "two", **asked, resume=True).backend == "eager"
    render(tiny_model, tmp_path / "one", **asked, backend="eager")
    assert difference(tmp_path / "one", tmp_path / "two") <= TOLERANCE


@pytest.mark.long
def test_ctrl_c_ends_all_after_the_step(tiny_model: Path, plate: str, tmp_path: Path) -> None:
    processes = started(command(tiny_model, tmp_path, plate, f"--steps={LONG}"))
    kill_in_the_midst(processes, 1, tmp_path, signal.SIGINT)  # as a terminal gives it to all
    processes[0].send_signal(signal.SIGINT)
    main, other = ended(processes)
    assert main[0] == Interrupted.exit_code and "--resume goes on from here" in main[2]
    assert other == (0, "", "")


def kill_in_the_midst(processes, who: int, folder: Path, how: signal.Signals = signal.SIGKILL) -> None:
    """Ends process number `who` as soon as a step is kept."""
    until = time.monotonic() + 60
    while not list(folder.glob(".*/*.safetensors")):
        assert time.monotonic() < until and all(process.poll() is None for process in processes)
        time.sleep(0.02)
    processes[who].send_signal(how)


@pytest.mark.parametrize(
    ("heads", "possible"), [(4, [1, 2, 4]), (30, [1, 2, 3, 4, 5, 6, 8, 10, 15, 30]), (2, [1, 2]), (1, [1])]
)
def test_how_many_processes_can_share_heads(heads: int, possible: list[int]) -> None:
    assert [count for count in range(1, 33) if can_split(heads, count)] == possible


class Told(Processes):
    """Processes without any others: what they are told is written down."""

    def tell(self, order: object) -> None:
        self.__dict__.setdefault("orders_told", []).append(order)


def told(count: int = 2) -> Told:
    return Told(rank=0, count=count, orders=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "count", "sentence"),
    [
        (LoadOptions(backend="onnxruntime"), 2, "backend eager only, not onnxruntime; leave --backend auto"),
        (LoadOptions(quality="draft"), 2, "take --quality exact, or start LayerFlow in one process"),
        (LoadOptions(), 3, "3 processes cannot share the 2 heads of model tiny; start 1 or 2 of them"),
        (LoadOptions(device="cuda:1"), 2, "leave it out, and say with CUDA_VISIBLE_DEVICES which GPUs"),
    ],
)
def test_what_several_processes_cannot_do_is_said_before_the_others_load(
    tiny_model: Path, options: LoadOptions, count: int, sentence: str
) -> None:
    processes = told(count)
    with pytest.raises(RequestError, match=sentence):
        load_engine(open_model(tiny_model), options, processes=processes)
    assert "orders_told" not in vars(processes)


def test_each_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split, "pick_device", lambda name: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    chosen: list[int] = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert own_device("auto") == torch.device("cuda", 1) and chosen == [1]
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(RequestError, match="2 GPUs are here; start one for each GPU"):
        own_device("cuda")


def test_a_shot_begun_by_another_backend_goes_on_with_a_warning(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "split", lambda *told: None)
    said: list[str] = []
    options = LoadOptions(begun_with="onnxruntime", memory="full")
    engine = load_engine(open_model(tiny_model), options, warn=said.append, processes=told())
    assert engine.num_processes == 2 and engine.backend == "eager"
    assert said == [
        "the shot was begun with backend onnxruntime; several processes go on with eager, and what follows may look a "
        "little different"
    ]


def test_a_step_that_is_to_stop_never_begins() -> None:
    processes = told()
    network = SplitNetwork(transformer=None, processes=processes)  # type: ignore[arg-type]
    with network.heeding(lambda: True), pytest.raises(Interrupted):
        network(*[torch.zeros(1)] * 5)
    assert "orders_told" not in vars(processes) and not processes.in_step


def test_what_is_said_of_a_lost_process_is_one_sentence() -> None:
    processes = told()
    with pytest.raises(ProcessLost, match="--resume goes on"), processes.step():
        raise distributed.DistNetworkError("the other side has hung up")
    assert processes.in_step  # so nobody waits for the others at the end
    with pytest.raises(RuntimeError, match="sizes"), told().step():
        raise RuntimeError("sizes do not match")


def test_memory_that_runs_out_in_a_step_is_no_lower_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split, "share", lambda tensors: None)

    def full(*inputs: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("full")

    with pytest.raises(RequestError, match="process 0 of 2; start the shot with --memory low"):
        split.take_part(full, [], told())  # type: ignore[arg-type]


def test_engines_hand_on_their_processes(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "split", lambda *told: None)
    processes, folder, options = told(), open_model(tiny_model), LoadOptions()
    engines = Engines(processes=processes)
    plan, _ = engines.choose_plan(folder, options)
    with engines.lent(folder, options, plan, warn=pytest.fail) as engine:
        assert engine.num_processes == 2
    (order,) = vars(processes)["orders_told"]
    assert order.path == tiny_model and order.options.memory == plan.name
