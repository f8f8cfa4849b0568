"""Shots made by a real Ray cluster: several raylets on this machine, and a real server that has jobs made there."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import ray
from ray_cluster import RayCluster
from rendering import contents, render, request, write_plate
from server_process import SERVE, home, start

from layerflow.cluster.pool import Pool
from layerflow.cluster.share import ClusterOptions, Share
from layerflow.cluster.spread import render as spread
from layerflow.errors import Interrupted, RequestError
from layerflow.server.folder import ServerFolder
from layerflow.wire import Event
from layerflow.wire.client import Client

__all__ = ["home"]

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("one_thread"), pytest.mark.timeout(300)]

Join = Callable[..., Pool]
ONE_CORE = ("--worker-cpus", "1")


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    made = RayCluster.start()
    try:
        yield made
    finally:
        made.end()


@pytest.fixture
def joined(cluster: RayCluster) -> Iterator[Join]:
    """What joins the cluster; at the end this process is in none."""

    def join(files: str = "auto", cpus: float = 1) -> Pool:
        return Pool(ClusterOptions(address=cluster.address, share=Share(cpus=cpus), files=files))

    yield join
    ray.shutdown()


def test_a_node_is_killed_in_the_middle_of_sixty_windows(cluster: RayCluster, home: Path) -> None:
    plate = write_plate(home / "plate", count=244)
    render_plain = render(Path("mini"), home / "plain", plate=plate)
    served = start("--backend", "ray", "--address", cluster.address, *ONE_CORE)
    try:
        client = served.client
        job = client.submit(request(Path("mini"), home / "out", plate=plate))
        killed, told = False, []
        for event in client.events(job.id, timeout_s=200):
            progress = event.data if event.kind == "progress" else {}
            told += [event.data["done"]] if event.kind == "frame" else []
            if not killed and progress.get("done", 0) >= 20 and _num_ready() == 2:
                cluster.ask("kill")
                killed = True
        done = client.get(job.id)
    finally:
        assert served.end() == 0
        served.kill()
        cluster.ask("add")
    log = ServerFolder.own().log_of(job.id).read_text()
    assert log.count("a worker was lost with window") == 1
    assert killed and done.state == "done" and done.device == "ray" and done.attempts == 1
    assert told == sorted(set(told)) and told[-1] == len(render_plain.frames) == 244
    assert contents(home / "out") == contents(home / "plain")


def test_copies_go_through_ray_where_no_folder_is_shared(
    joined: Join, tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "layerflow.server")
    plate = write_plate(tmp_path / "plate", count=24)
    generated = {"task": "generate", "num_frames": 16, "width": 24, "height": 16}
    render(tiny_model, tmp_path / "plain", plate=plate)
    render(tiny_model, tmp_path / "plain_generated", **generated)
    pool = joined(files="store")
    pictures: list[dict[str, object]] = []
    told: list[Event] = []
    spread(
        request(tiny_model, tmp_path / "out", plate=plate),
        pool,
        job="apart",
        on_event=told.append,
        on_glimpse=lambda seen: pictures.append(seen.pictures()),
        wants_glimpse=lambda: True,
    )
    spread(request(tiny_model, tmp_path / "out_generated", **generated), pool, job="generated")
    assert contents(tmp_path / "out") == contents(tmp_path / "plain")
    assert contents(tmp_path / "out_generated") == contents(tmp_path / "plain_generated")
    assert told[-1].done == told[-1].total == 24
    assert any({"foreground", "background"} <= set(each) for each in pictures)
    assert caplog.text.count("is ready") == 2


def test_a_shot_that_is_stopped_goes_on(joined: Join, tiny_model: Path, tmp_path: Path) -> None:
    plate = write_plate(tmp_path / "plate", count=24)
    render(tiny_model, tmp_path / "plain", plate=plate)
    pool = joined()
    steps: list[int] = []
    asked = request(tiny_model, tmp_path / "out", plate=plate)

    def on_event(event: Event) -> None:
        steps.extend([event.done] if event.kind == "step" else [])

    with pytest.raises(Interrupted):
        spread(asked, pool, job="first", on_event=on_event, stopped=lambda: len(steps) > 4)
    assert list((tmp_path / "out" / ".dog.layerflow").glob("window-*.safetensors"))
    spread(asked, pool, job="second", resume=True)
    assert contents(tmp_path / "out") == contents(tmp_path / "plain")


def test_what_no_node_can_hold_is_refused(joined: Join, tiny_model: Path, tmp_path: Path) -> None:
    pool = joined(cpus=64)
    plate = write_plate(tmp_path / "plate", count=8)
    with pytest.raises(RequestError, match=r"no node .* can hold a worker of 64 cores, there is .*1 core"):
        spread(request(tiny_model, tmp_path / "out", plate=plate), pool, job="large")
    assert not list((tmp_path / "out").glob("*.exr"))


def test_a_server_says_at_its_start_that_its_cluster_is_no_use(cluster: RayCluster, home: Path) -> None:
    for address, gpus, said in (
        (cluster.address, "1", "no node of the Ray cluster can hold a worker of 1 GPU and 1 core, there is"),
        ("127.0.0.1:9", "0", "no Ray cluster answers at 127.0.0.1:9; start one"),
    ):
        command = [*SERVE, "--backend", "ray", "--address", address, "--worker-gpus", gpus]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
        assert ended.returncode == RequestError.exit_code and said in ended.stderr, ended.stderr
        assert "Traceback" not in ended.stderr


def test_jobs_of_a_dispatcher_that_was_killed_go_on(cluster: RayCluster, home: Path, tiny_model: Path) -> None:
    plate = write_plate(home / "plate", count=24)
    render(tiny_model, home / "plain", plate=plate)
    served = start("--backend", "ray", "--address", cluster.address, *ONE_CORE, *roots(home, tiny_model))
    try:
        client = served.client
        jobs = [client.submit(request(tiny_model, home / f"out{n}", plate=plate)).id for n in range(2)]
        _until_a_step(client, jobs[0])
        for process in served.workers():
            process.kill()
        states = [client.wait(job, timeout_s=200) for job in jobs]
    finally:
        assert served.end() == 0
        served.kill()
    assert [job.state for job in states] == ["done", "done"], [job.message for job in states]
    assert states[0].attempts == 2
    for number in range(2):
        assert contents(home / f"out{number}") == contents(home / "plain")
        log = ServerFolder.own().log_of(jobs[number]).read_text()
        assert jobs[1 - number] not in log and f"out{1 - number}" not in log


def test_a_cancelled_job_leaves_its_makers_to_the_next(cluster: RayCluster, home: Path, tiny_model: Path) -> None:
    plate = write_plate(home / "plate", count=24)
    served = start("--backend", "ray", "--address", cluster.address, *ONE_CORE, *roots(home, tiny_model))
    try:
        client = served.client
        first, second = (client.submit(request(tiny_model, home / f"out{n}", plate=plate)).id for n in range(2))
        _until_a_step(client, first)
        assert client.cancel(first).state == "cancelled"
        assert client.wait(second, timeout_s=200).state == "done"
        assert client.retry(first).state == "queued"
        assert client.wait(first, timeout_s=200).state == "done"
    finally:
        os.kill(served.process.pid, signal.SIGTERM)
        served.process.wait(60)
        served.kill()
    assert contents(home / "out0").keys() == contents(home / "out1").keys()


def _num_ready() -> int:
    """How many makers the server's dispatcher has seen come up."""
    return ServerFolder.own().log_of_worker("ray").read_text().count("is ready")


def roots(*paths: Path) -> list[str]:
    """The options that let jobs use those folders."""
    return [part for path in paths for part in ("--root", str(path))]


def _until_a_step(client: Client, job: str) -> None:
    for event in client.events(job, timeout_s=200):
        if event.kind == "progress" and event.data.get("done", 0) > 0:
            return
