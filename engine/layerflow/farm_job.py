"""A shot as a job of a render farm: a template of Open Job Description that makes it in parts.

The commands are lists of arguments, which no shell reads. Specification: jobtemplate-2023-09, without extensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from layerflow.wire import Request
from layerflow.wire.request import CHOICES

SPECIFICATION = "jobtemplate-2023-09"
SHOT_FILE = "shot.json"  # beside the template

MAX_NAME = 128  # characters that a job's name may have
_CHECK_S = 3600  # seconds that preparing may take: it reads no pixels
_NOTICE_S = 120  # from SIGTERM to SIGKILL: the step at hand is broken off, its state written down


@dataclass(frozen=True, kw_only=True)
class FarmJob:
    """What is to be made, and what a machine needs for it."""

    name: str
    request: Request
    windows: tuple[int, int]  # first and last, counted from 1
    in_order: bool  # all windows are one task
    chunk: int  # windows a task samples
    command: str  # what starts LayerFlow on a machine of the farm
    gpus: int = 0
    gpu_memory_gib: float | None = None
    memory_gib: float | None = None
    hours: float = 24.0  # after which a task is ended

    @property
    def chunk_size(self) -> int:
        """Windows a task samples, which are all of them where each goes on from the one before."""
        total = self.windows[1] - self.windows[0] + 1
        return total if self.in_order else min(self.chunk, total)

    @property
    def num_chunks(self) -> int:
        """How many tasks sample."""
        return -(-(self.windows[1] - self.windows[0] + 1) // self.chunk_size)


def job_template(job: FarmJob) -> dict[str, Any]:
    """The template of `job`, ready for JSON. Its shot file is to lie beside it."""
    windows = "{{Param.FirstWindow}}-{{Param.LastWindow}}:{{Param.ChunkSize}}"
    chunk = {"taskParameterDefinitions": [{"name": "Window", "type": "INT", "range": windows}]}
    asked = "--windows={{Task.Param.Window}}-{{Param.LastWindow}}"
    work_s = max(1, round(3600 * job.hours))
    return {
        "specificationVersion": SPECIFICATION,
        "name": _plain(job.name),
        "description": f"LayerFlow {job.request.task} into {job.request.output}",
        "parameterDefinitions": _parameters(job),
        "steps": [
            _step(job, "Prepare", "prepare", timeout_s=_CHECK_S),
            _step(
                job,
                "Sample",
                "sample",
                (asked, "--chunk={{Param.ChunkSize}}"),
                after="Prepare",
                timeout_s=work_s,
                needs_gpu=True,
                parameterSpace=chunk,
            ),
            _step(job, "Assemble", "assemble", after="Sample", timeout_s=work_s, needs_gpu=True),
            _step(job, "Verify", "verify", after="Assemble", timeout_s=work_s),
        ],
    }


def _parameters(job: FarmJob) -> list[dict[str, Any]]:
    first, last = job.windows
    within = {"minValue": first, "maxValue": last}
    fewest = job.chunk_size if job.in_order else 1
    return [
        {
            "name": "ShotFile",
            "type": "PATH",
            "objectType": "FILE",
            "dataFlow": "IN",
            "default": SHOT_FILE,
            "description": "The request. Its paths have to mean the same on every machine.",
        },
        _string("LayerFlow", job.command, "What starts LayerFlow on a machine of the farm."),
        _integer("FirstWindow", first, "The first window to sample.", within),
        _integer("LastWindow", last, "The last window to sample.", within),
        _integer("ChunkSize", job.chunk_size, "How many windows a task samples.", {"minValue": fewest}),
        _choice(job, "Precision", "precision", "Number type of the network; with auto the device decides."),
        _choice(job, "Memory", "memory", "Memory plan."),
        _string("Device", job.request.device, "auto, cpu, cuda or cuda:N."),
        _string("Backend", job.request.backend, "What runs the network; auto is the fastest that is there."),
    ]


def _string(name: str, default: str, description: str) -> dict[str, Any]:
    return {"name": name, "type": "STRING", "default": default, "minLength": 1, "description": description}


def _integer(name: str, default: int, description: str, limits: Mapping[str, int]) -> dict[str, Any]:
    return {"name": name, "type": "INT", "default": default, **limits, "description": description}


def _choice(job: FarmJob, name: str, field: str, description: str) -> dict[str, Any]:
    values = _string(name, getattr(job.request, field), description)
    del values["minLength"]
    return {**values, "allowedValues": list(CHOICES[field])}


def _step(
    job: FarmJob,
    name: str,
    verb: str,
    options: tuple[str, ...] = (),
    *,
    timeout_s: int,
    after: str = "",
    needs_gpu: bool = False,
    **more: Any,
) -> dict[str, Any]:
    machine = [f"--{each.lower()}={{{{Param.{each}}}}}" for each in ("Precision", "Memory", "Device", "Backend")]
    run = {
        "command": "{{Param.LayerFlow}}",
        "args": ["part", verb, "--openjd", *machine, *options, "--", "{{Param.ShotFile}}"],
        "timeout": timeout_s,
        "cancelation": {"mode": "NOTIFY_THEN_TERMINATE", "notifyPeriodInSeconds": _NOTICE_S},
    }
    amounts = _amounts(job) if needs_gpu else []
    return {
        "name": name,
        **({"dependencies": [{"dependsOn": after}]} if after else {}),
        **({"hostRequirements": {"amounts": amounts}} if amounts else {}),
        **more,
        "script": {"actions": {"onRun": run}},
    }


def _amounts(job: FarmJob) -> list[dict[str, Any]]:
    needed = {
        "amount.worker.gpu": job.gpus,
        "amount.worker.gpu.memory": _mib(job.gpu_memory_gib),
        "amount.worker.memory": _mib(job.memory_gib),
    }
    return [{"name": name, "min": least} for name, least in needed.items() if least]


def _mib(gib: float | None) -> int:
    return round(1024 * (gib or 0))


def _plain(name: str) -> str:
    """A job's name, in which braces would be an expression."""
    return name.replace("{", "(").replace("}", ")")[:MAX_NAME]
