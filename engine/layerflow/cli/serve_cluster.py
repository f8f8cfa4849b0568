"""How `layerflow serve` says which cluster makes the jobs."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import click

from layerflow.cluster.share import ClusterOptions, Share
from layerflow.errors import RequestError

_OPTIONS = (
    click.option(
        "--backend",
        type=click.Choice(["local", "ray"]),
        default="local",
        show_default=True,
        help="What makes the jobs: the devices of this machine, or a Ray cluster.",
    ),
    click.option(
        "--address", metavar="ADDRESS", help="Of the Ray cluster: auto for the one of this machine, HOST:PORT."
    ),
    click.option("--worker-gpus", type=click.FloatRange(min=0), help="GPUs of one worker.  [1 where a node has one]"),
    click.option("--worker-cpus", type=click.FloatRange(min=0), help="Cores of one worker.  [1; all, without GPUs]"),
    click.option("--worker-memory", type=click.FloatRange(min=0), metavar="GIB", help="Memory of one worker."),
    click.option("--accelerator", metavar="KIND", help="The GPU that a worker needs, as Ray calls it, such as L40S."),
    click.option(
        "--max-workers", type=click.IntRange(min=1), help="Workers to ask for, also of nodes that are still to start."
    ),
    click.option(
        "--files",
        type=click.Choice(["auto", "path", "store"]),
        help="How nodes get at files: by their paths, or through Ray.  [auto: as each node turns out to see them]",
    ),
)


def cluster_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command the options that `choose_cluster` takes."""
    return reduce(lambda made, option: option(made), reversed(_OPTIONS), command)


def choose_cluster(
    backend: str,
    *,
    address: str | None,
    worker_gpus: float | None,
    worker_cpus: float | None,
    worker_memory: float | None,
    accelerator: str | None,
    max_workers: int | None,
    files: str | None,
) -> ClusterOptions | None:
    """The cluster that was asked for; None without one. Raises RequestError for options of a cluster without it."""
    asked = (address, worker_gpus, worker_cpus, worker_memory, accelerator, max_workers, files)
    if backend != "ray":
        if any(value is not None for value in asked):
            raise RequestError("those options are for a cluster; add --backend ray")
        return None
    share = None
    if any(value is not None for value in (worker_gpus, worker_cpus, worker_memory, accelerator)):
        gpus = worker_gpus if worker_gpus is not None else float(accelerator is not None)
        cpus = 1.0 if worker_cpus is None else worker_cpus
        share = Share(gpus=gpus, cpus=cpus, memory_gib=worker_memory or 0.0, accelerator=accelerator or "")
    return ClusterOptions(address=address or "", share=share, most=max_workers, files=files or "auto")
