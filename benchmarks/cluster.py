"""What a job costs more on a Ray cluster than in the local queue: `python benchmarks/cluster.py [ROUNDS] [--long]`.

Two servers, one with the worker of this machine and one with a Ray cluster of this machine, whose one worker has all
its cores and the same niceness. Each makes a job to warm up; then they take turns with jobs of the bundled model, from
`submit` to done: of 60 frames, and with `--long` of sixty windows. With `--nodes` a second measurement: sixty windows
by two nodes of one core each, by one of them, and by two of which one is killed in the middle. Prints seconds, medians
and the load.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from plan import WORDS, write_plate

from layerflow.server.worker import NICE
from layerflow.wire import Request
from layerflow.wire.client import Client

CLUSTER = Path(__file__).resolve().parent.parent / "tests" / "engine" / "ray_cluster.py"
SIZE = (480, 270)


@contextlib.contextmanager
def served(folder: Path, *options: str) -> Iterator[Client]:
    """A client of a server of its own."""
    names = {name: str(folder / name.lower()) for name in ("RUNTIME", "SERVER")}
    own = {f"LAYERFLOW_{name}": path for name, path in names.items()} | {"LAYERFLOW_ROOTS": str(folder.parent)}
    own["RAY_worker_niceness"] = str(NICE)
    command = ["layerflow", "serve", "--port", "0", "--json", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **own})
    assert process.stdout is not None
    if not process.stdout.readline():
        raise SystemExit("the server did not start")
    try:
        yield Client.connect(start=False, runtime=Path(names["RUNTIME"]))
    finally:
        process.terminate()
        process.wait()


def seconds_of(client: Client, request: Request, cluster: subprocess.Popen[str] | None = None) -> float:
    """From asking for a job to its end; a node of `cluster` is killed in the middle."""
    started = time.perf_counter()
    job = client.submit(request, overwrite=True)
    for event in client.events(job.id):
        progress = event.data if event.kind == "progress" else {}
        if cluster is not None and progress.get("done", 0) * 2 >= progress.get("total", 0) > 0:
            assert cluster.stdin is not None
            cluster.stdin.write("kill\n")
            cluster.stdin.flush()
            cluster = None
    done = client.get(job.id)
    if done.state != "done":
        raise SystemExit(done.message)
    return time.perf_counter() - started


def compare(folder: Path, request: Request, rounds: int) -> None:
    """The two queues in turns."""
    with served(folder / "local") as local, served(folder / "ray", "--backend", "ray") as ray:
        for client in (local, ray):
            seconds_of(client, request)
        found: dict[str, list[float]] = {"local": [], "ray": []}
        for _ in range(rounds):
            for name, client in (("local", local), ("ray", ray)):
                found[name].append(seconds_of(client, request))
            print(f"local {found['local'][-1]:.2f} s, ray {found['ray'][-1]:.2f} s; load {os.getloadavg()[0]:.1f}")
    local_s, ray_s = (statistics.median(found[name]) for name in ("local", "ray"))
    print(f"medians: local {local_s:.2f} s, ray {ray_s:.2f} s, {ray_s / local_s - 1:+.1%}")


def spread(folder: Path, request: Request) -> None:
    """The same shot by one node, by two, and by two of which one dies."""
    with subprocess.Popen(
        [sys.executable, CLUSTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as cluster:
        assert cluster.stdout is not None and cluster.stdin is not None
        address = next(line for line in cluster.stdout if line.startswith("cluster: ")).split()[1]
        options = ("--backend", "ray", "--address", address, "--worker-cpus", "1")
        with served(folder / "one", *options, "--max-workers", "1") as client:
            seconds_of(client, request)
            print(f"one node: {seconds_of(client, request):.1f} s")
        with served(folder / "two", *options) as client:
            seconds_of(client, request)
            print(f"two nodes: {seconds_of(client, request):.1f} s")
            print(f"two nodes, one killed half way: {seconds_of(client, request, cluster):.1f} s")
        cluster.stdin.close()


def main() -> None:
    rounds = next((int(each) for each in sys.argv[1:] if each.isdigit()), 5)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plates = {name: write_plate(folder / name, count, *SIZE) for name, count in (("short", 60), ("long", 244))}
        asked = {"task": "decompose", "model": "mini", **WORDS}
        short, long = (
            Request.from_json(json.dumps({**asked, "plate": plate, "output": f"{folder / name / 'out'}/a.%04d.exr"}))
            for name, plate in plates.items()
        )
        compare(folder, long if "--long" in sys.argv[1:] else short, rounds)
        if "--nodes" in sys.argv[1:]:
            spread(folder, long)


if __name__ == "__main__":
    main()
