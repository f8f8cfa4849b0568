"""The process of one device: takes up jobs one after another, for as long as the supervisor wants."""

from __future__ import annotations

import argparse
import gc
import os
import threading
from functools import partial

import psutil

from layerflow.server import heap, lifeline
from layerflow.server.bounds import Bounds
from layerflow.server.folder import ServerFolder
from layerflow.server.leases import claim, register
from layerflow.server.store import Store

POLL_S = 0.1  # after which an idle worker looks for a job
KEEP_ENGINE_S = 300.0  # without a job; then its memory is for other programs
NICE = 10  # above the priority that the server has


def serve(folder: ServerFolder, worker: str, device: str, leaving: threading.Event, bounds: Bounds) -> None:
    """Works until `leaving` is set, or after a job that ended in a way nobody foresaw. Raises LayerFlowError."""
    from layerflow import shots
    from layerflow.models.engines import Engines
    from layerflow.server.attempt import attempt

    store, place = Store(folder.queue), settle(device)
    if place == "cpu":
        give_way()
    register(store, worker, place)
    sound, engines = True, Engines(keep_s=KEEP_ENGINE_S)
    make = partial(shots.render, engines=engines)
    while sound and not leaving.is_set():
        lease = claim(store, worker)
        if lease is None:
            if engines.let_go_of_idle():
                heap.trim()
            leaving.wait(POLL_S)
            continue
        sound = attempt(lease, folder=folder, leaving=leaving.is_set, bounds=bounds, make=make)
        _let_memory_go()


def settle(device: str) -> str:
    """The full name of `device`, which from now on is what "auto" and "cuda" mean in this process. RequestError."""
    import torch

    from layerflow.models.places import pick_device

    place = pick_device(device)
    if place.type != "cuda":
        return str(place)
    if place.index is not None:
        torch.cuda.set_device(place)
    return f"cuda:{torch.cuda.current_device()}"


def give_way() -> None:
    """Lets the windows of hosts go first: on a CPU, a job takes what they leave of it."""
    if os.name == "nt":
        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
    else:
        os.nice(NICE)


def _let_memory_go() -> None:
    """Leaves to the next job, which looks for what is free, what the last one has taken."""
    import torch

    gc.collect()  # a model's hooks and modules refer to each other in circles
    torch.cuda.empty_cache()
    heap.trim()


def main() -> None:
    """Runs one worker. The queue is told everything; what else there is to say goes to stderr."""
    parser = argparse.ArgumentParser(prog="layerflow.server.worker", description="The worker of one device.")
    parser.add_argument("--device", required=True, help="cpu, cuda:1 or auto")
    lifeline.add_options(parser)
    arguments = parser.parse_args()
    if arguments.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # so that "auto" is the CPU in every job
    folder, bounds = ServerFolder(path=arguments.folder), Bounds.of_options(arguments)
    lifeline.work(lambda leaving: serve(folder, arguments.id, arguments.device, leaving, bounds))


if __name__ == "__main__":
    main()
