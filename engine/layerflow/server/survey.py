"""What this machine has to work with: devices and models, as a process of its own finds them. This one stays small."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from layerflow.errors import LayerFlowError

PATIENCE_S = 120.0  # for loading torch from a cold disk
LOOK_EVERY_S = 0.2  # whether it is still wanted


class SurveyError(LayerFlowError):
    """The engine cannot be loaded on this machine."""


@dataclass(frozen=True, kw_only=True)
class Survey:
    """Devices with `name`, `product` and `memory_bytes`; models with `name`, `tasks`, `width`, `height` and `fps`.

    And with `foregrounds`, how many a model makes at once, by task.
    """

    devices: tuple[Mapping[str, Any], ...]
    models: tuple[Mapping[str, Any], ...]

    @property
    def workplaces(self) -> tuple[str, ...]:
        """The devices that get a worker each: every GPU, or the CPU where there is none."""
        names = tuple(device["name"] for device in self.devices)
        return tuple(name for name in names if name != "cpu") or names


def survey(python: Sequence[str] = (sys.executable, "-P"), *, wanted: Callable[[], bool] = lambda: True) -> Survey:
    """What is there now. It takes some seconds. Raises SurveyError, at once when it is no longer `wanted`."""
    try:
        said = _run([*python, "-m", "layerflow.server.survey"], wanted)
    except (OSError, subprocess.SubprocessError) as error:
        raise SurveyError("the engine cannot be loaded here; layerflow doctor says why") from error
    found = json.loads(said.splitlines()[-1])
    return Survey(devices=tuple(found["devices"]), models=tuple(found["models"]))


def _run(command: Sequence[str], wanted: Callable[[], bool]) -> bytes:
    """What the command says on stdout. Raises OSError, and SubprocessError unless it ends well in time."""
    until = time.monotonic() + PATIENCE_S
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while True:
            try:
                said, _ = process.communicate(timeout=LOOK_EVERY_S)
                break
            except subprocess.TimeoutExpired:
                if time.monotonic() > until or not wanted():
                    process.kill()
                    raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return said


def look() -> Survey:
    """What is there, for a process that may load torch."""
    import psutil
    import torch

    from layerflow.models.shelf import list_models, model_name

    cpu = {"name": "cpu", "product": f"{psutil.cpu_count()} cores", "memory_bytes": psutil.virtual_memory().total}
    cards = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    gpus = [
        {"name": f"cuda:{index}", "product": card.name, "memory_bytes": card.total_memory}
        for index, card in enumerate(cards)
    ]
    models = [
        {
            "name": model_name(model),
            "tasks": list(model.manifest.layouts),
            "width": model.manifest.width,
            "height": model.manifest.height,
            "fps": model.manifest.fps,
            "foregrounds": {task: model.most_foregrounds(task) for task in model.manifest.layouts},
        }
        for model in list_models()
    ]
    return Survey(devices=(*gpus, cpu), models=tuple(models))


if __name__ == "__main__":
    print(json.dumps(asdict(look())))
