"""What a node of a cluster does, without a cluster: its share, its copies, and the bits it makes."""

from __future__ import annotations

from pathlib import Path

import pytest
from rendering import contents, render, request, write_plate

from layerflow.cluster.maker import Maker
from layerflow.cluster.mirror import Mirror, Parcel, stamp_of
from layerflow.cluster.orders import Begun, Copy, Files, Order, Told
from layerflow.cluster.share import GIB, ClusterOptions, Share, no_room, room_for, usual_share
from layerflow.cluster.tally import Tally
from layerflow.cluster.tasks import Task, Tasks
from layerflow.errors import LayerFlowError, RequestError
from layerflow.parts import finish, open_shot
from layerflow.shot import Shot
from layerflow.wire import Event, Request

pytestmark = pytest.mark.usefixtures("one_thread")

GPU_NODE = {"CPU": 16.0, "GPU": 4.0, "memory": 64.0 * GIB, "accelerator_type:L40S": 1.0}
CPU_NODE = {"CPU": 8.0, "memory": 16.0 * GIB}


@pytest.mark.parametrize(
    ("share", "times"),
    [
        (Share(gpus=1), 4),
        (Share(gpus=0.5), 8),
        (Share(gpus=1, cpus=8), 2),
        (Share(gpus=1, memory_gib=40), 1),
        (Share(gpus=1, accelerator="L40S"), 4),
        (Share(gpus=1, accelerator="H100"), 0),
        (Share(gpus=8), 0),
    ],
)
def test_a_node_holds_as_many_shares_as_fit(share: Share, times: int) -> None:
    assert share.times_in(GPU_NODE) == times
    assert room_for(share, [GPU_NODE, CPU_NODE, GPU_NODE]) == 2 * times


def test_a_maker_has_one_gpu_or_all_cores_of_the_smallest_node() -> None:
    assert usual_share([CPU_NODE, GPU_NODE]) == Share(gpus=1, cpus=1)
    assert usual_share([CPU_NODE, {"CPU": 4.0}, {"memory": 1.0}]) == Share(cpus=4)
    assert usual_share([]) == Share(cpus=1)


def test_what_no_node_can_hold_is_said_with_what_there_is() -> None:
    said = str(no_room(Share(gpus=1, accelerator="H100", cpus=2, memory_gib=80), [GPU_NODE, CPU_NODE]))
    assert "1 H100 GPU and 2 cores and 80 GiB of memory" in said
    assert "4 GPU and 16 cores and 64 GiB of memory" in said
    assert "8 cores and 16 GiB of memory" in said
    assert "no node at all" in str(no_room(Share(), []))


@pytest.mark.parametrize("share", [None, Share(gpus=0.5, cpus=3, memory_gib=1.5, accelerator="L40S")])
def test_options_come_through_a_command_line(share: Share | None) -> None:
    options = ClusterOptions(address="10.0.0.1:6379", share=share, most=3, files="store")
    assert ClusterOptions.from_json(options.to_json()) == options


def test_copies_have_the_paths_of_their_files_below_one_folder(tmp_path: Path) -> None:
    mirror, path = Mirror(tmp_path / "copies"), "/shots/dog/plate.0001.exr"
    mirror.put(path, b"pixels", 1_700_000_000_123_456_789)
    copy = Path(mirror.place(path))
    assert copy.read_bytes() == b"pixels" and copy.is_relative_to(mirror.root)
    assert mirror.origin(str(copy)) == path
    assert mirror.origin("/elsewhere") == "/elsewhere"
    there = Parcel(size=6, modified_ns=1_700_000_000_123_456_789, content=None)
    newer = Parcel(size=6, modified_ns=1_700_000_001_000_000_000, content=None)
    assert not mirror.missing({path: there})
    assert mirror.missing({path: newer, "/other": there}) == {path: newer, "/other": there}


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Three windows of 8 frames, each of which shares 4 with the one before."""
    return write_plate(tmp_path_factory.mktemp("plate"), count=16)


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(folder))
    return folder


def parcels(paths: list[Path]) -> dict[str, Parcel]:
    """Those files, each with its own path in place of a reference."""
    stamps = {path: stamp_of(path) for path in paths}
    return {str(path): Parcel(size=size, modified_ns=time, content=path) for path, (size, time) in stamps.items()}


class Nodes:
    """Makers that share no folder, and what is done here with what they tell."""

    def __init__(self, asked: Request) -> None:
        self.shot = Shot.prepare(asked, lambda event: None, lambda: False)
        open_shot(self.shot, overwrite=False, resume=False)
        self.events: list[Event] = []

    def have(self, verb: str, windows: range) -> None:
        """Has a new maker carry out an order."""
        journal = self.shot.journal
        states = [path for window in (windows.start - 1, *windows) for path in journal.states(window)]
        files = Files(
            parcels=parcels([*self.shot.sources, *states]), memory=journal.memory(), backend=journal.backend()
        )
        maker = Maker("node", Path.read_bytes)
        order = Order(job="dog", verb=verb, request=self.shot.request, windows=windows, files=files)  # type: ignore[arg-type]
        for told in maker.carry_out(order, 0):
            self.take(told)
        maker.leave()

    def take(self, told: Told) -> None:
        if isinstance(told, Copy):
            Path(told.path).write_bytes(told.content)
        elif isinstance(told, Begun):
            self.shot.journal.begin(memory=told.memory, backend=told.backend)
        elif isinstance(told, Event):
            self.events.append(told)


def test_nodes_that_share_no_folder_make_the_bits_of_one_process(
    tiny_model: Path, plate: str, tmp_path: Path, scratch: Path
) -> None:
    render(tiny_model, tmp_path / "plain", plate=plate)
    nodes = Nodes(request(tiny_model, tmp_path / "out", plate=plate))
    for window in (2, 0, 1):
        nodes.have("sample", range(window, window + 1))
    assert not [path for path in (tmp_path / "out").iterdir() if path.suffix == ".exr"]
    sampled = sum(event.kind == "step" for event in nodes.events)
    nodes.have("write", range(1, 3))
    nodes.have("write", range(1))
    assert sum(event.kind == "step" for event in nodes.events) == sampled  # nothing is sampled twice
    assert finish(nodes.shot).backend

    assert contents(tmp_path / "out") == contents(tmp_path / "plain")
    frames = [event.message for event in nodes.events if event.kind == "frame"]
    assert all(Path(path).parent == tmp_path / "out" for path in frames)
    assert not list(scratch.iterdir())


def test_a_shot_in_order_goes_on_elsewhere_from_what_is_there(tiny_model: Path, tmp_path: Path, scratch: Path) -> None:
    asked = {"task": "generate", "num_frames": 16, "width": 24, "height": 16}
    render(tiny_model, tmp_path / "plain", **asked)
    nodes = Nodes(request(tiny_model, tmp_path / "out", **asked))
    nodes.have("write", range(1))
    nodes.have("write", range(1, 3))
    finish(nodes.shot)
    assert contents(tmp_path / "out") == contents(tmp_path / "plain")


def test_an_order_is_stopped_between_two_steps(tiny_model: Path, plate: str, tmp_path: Path, scratch: Path) -> None:
    nodes = Nodes(request(tiny_model, tmp_path / "out", plate=plate))
    maker = Maker("node", Path.read_bytes)
    order = Order(job="dog", verb="sample", request=nodes.shot.request, windows=range(3))
    told = maker.carry_out(order, 7)
    next(told)
    maker.stop(7)
    with pytest.raises(Exception, match="stopped"):
        list(told)


def test_a_node_sees_a_folder_by_a_mark_in_it(tmp_path: Path, scratch: Path) -> None:
    mark, other = tmp_path / "mark", tmp_path / "plate.exr"
    mark.write_text("abc")
    other.write_bytes(b"1")
    maker = Maker("node", Path.read_bytes)
    assert maker.sees(str(mark), "abc", {str(other): stamp_of(other)})
    assert not maker.sees(str(mark), "of another day", {})
    assert not maker.sees(str(mark), "abc", {str(other): (2, 0)})
    assert not maker.sees(str(tmp_path / "none"), "abc", {})


def test_runs_are_written_as_soon_as_their_windows_are_sampled(tiny_model: Path, tmp_path: Path) -> None:
    plate = write_plate(tmp_path / "plate", count=44)  # ten windows
    shot = Shot.prepare(request(tiny_model, tmp_path / "out", plate=plate), lambda event: None, lambda: False)
    tasks = Tasks(shot, makers=2)
    asked = [tasks.next() for _ in range(len(tasks))]
    assert asked == [Task("sample", range(index, index + 1)) for index in range(10)]
    for task in (*asked[1:7], *asked[8:]):
        tasks.done(task)
    assert not tasks, "the second run fades in from the last window of the first"
    tasks.done(asked[7])
    assert [tasks.next() for _ in range(len(tasks))] == [Task("write", range(8, 10))]
    tasks.done(asked[0])
    assert [tasks.next() for _ in range(len(tasks))] == [Task("write", range(8))]
    assert [str(Task("write", range(8))), str(asked[0])] == ["windows 1-8", "window 1"]


def test_one_maker_or_windows_in_order_are_one_task(tiny_model: Path, plate: str, tmp_path: Path) -> None:
    apart = request(tiny_model, tmp_path / "out", plate=plate)
    in_order = request(tiny_model, tmp_path / "out", task="generate", num_frames=16, width=24, height=16)
    for asked, makers in ((apart, 1), (in_order, 4)):
        tasks = Tasks(Shot.prepare(asked, lambda event: None, lambda: False), makers)
        assert [tasks.next() for _ in range(len(tasks))] == [Task("write", range(3))]


def test_a_task_that_loses_makers_in_a_row_is_given_up(tiny_model: Path, plate: str, tmp_path: Path) -> None:
    shot = Shot.prepare(request(tiny_model, tmp_path / "out", plate=plate), lambda event: None, lambda: False)
    tasks = Tasks(shot, makers=2)
    first = tasks.next()
    tasks.again(first)
    assert tasks.next() == first
    tasks.again(first)
    tasks.done(tasks.next())  # in a row: what is done once may be lost anew
    tasks.again(first)
    tasks.again(first)
    with pytest.raises(LayerFlowError, match="window 1 lost 3 workers of the cluster in a row"):
        tasks.again(first)


def test_frames_are_told_up_to_the_first_that_is_missing(tiny_model: Path, plate: str, tmp_path: Path) -> None:
    told: list[Event] = []
    shot = Shot.prepare(request(tiny_model, tmp_path, plate=plate), told.append, lambda: False)
    tally = Tally(shot, made=())
    steps = shot.sampler.num_steps
    last = [shot.frames.index(window.new[-1]) + 1 for window in shot.windows]
    tally.event(range(1, 3), Event("step", done=steps + 1, total=2 * steps))
    tally.event(range(1, 2), Event("step", done=1, total=steps))  # once more, after a loss
    tally.event(range(1, 2), Event("frame", "second", done=last[1], total=16))
    assert [event.done for event in told] == [steps + 1, steps + 1]
    tally.event(range(1), Event("frame", "first", done=last[0], total=16))
    assert [(event.kind, event.done, event.total) for event in told[2:]] == [("frame", last[1], 16)]


def test_a_cluster_takes_its_own_options_only(capsys: pytest.CaptureFixture[str]) -> None:
    from layerflow.cli.serve_cluster import choose_cluster

    none = dict.fromkeys(
        ("address", "worker_gpus", "worker_cpus", "worker_memory", "accelerator", "max_workers", "files")
    )
    assert choose_cluster("local", **none) is None  # type: ignore[arg-type]
    assert choose_cluster("ray", **none) == ClusterOptions()  # type: ignore[arg-type]
    chosen = choose_cluster("ray", **{**none, "accelerator": "L40S", "max_workers": 3})  # type: ignore[arg-type]
    assert chosen == ClusterOptions(share=Share(gpus=1, cpus=1, accelerator="L40S"), most=3)
    with pytest.raises(RequestError, match="--backend ray"):
        choose_cluster("local", **{**none, "address": "auto"})  # type: ignore[arg-type]
