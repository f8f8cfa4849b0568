"""The knobs of the tab Farm, and what they say of a farm. Nothing of Nuke."""

from __future__ import annotations

from typing import Any, Mapping

from layerflow.wire.farm import Farm
from layerflow_nuke.knobs import Knob

FARM = (
    Knob("tab", "layerflow_farm", "Farm"),
    Knob(
        "int",
        "farm_chunk",
        "windows per task",
        "A long shot is made in windows, and a task of the farm makes so many of them. It loads the model once.",
        default=4,
    ),
    Knob("int", "farm_gpus", "GPUs", "How many a task needs; 0 on a farm without any.", default=1),
    Knob(
        "double",
        "farm_gpu_memory_gib",
        "GPU memory",
        "In GiB, the least that a task's GPU has; 0 does not ask for it.",
        default=0.0,
        range=(0.0, 96.0),
    ),
    Knob(
        "double",
        "farm_memory_gib",
        "memory",
        "In GiB, the least that a task's machine has; 0 does not ask for it.",
        default=0.0,
        range=(0.0, 256.0),
    ),
    Knob(
        "string",
        "farm_program",
        "program",
        "What starts LayerFlow on a machine of the farm: <code>layerflow</code>, or its whole path there.",
        default="layerflow",
    ),
    Knob("divider", "farm_divider"),
    Knob(
        "file",
        "farm_folder",
        "jobs go to",
        "A folder, which all machines see; %V is the view, and expressions in brackets are worked out. Empty: each job "
        "lies beside its frames.",
        default="",
    ),
    Knob(
        "string",
        "farm_command",
        "then run",
        "What takes a job to the farm, such as <code>deadline bundle submit {bundle} --yes</code>; {bundle} is its "
        "folder. Empty: the job is written, and nothing is run.",
        default="",
    ),
)


def farm_of(values: Mapping[str, Any], folder: str) -> Farm:
    """The farm that these knobs speak of; its jobs go to `folder`. A ValueError says what is wrong."""
    return Farm(
        chunk=int(values["farm_chunk"]),
        gpus=int(values["farm_gpus"]),
        gpu_memory_gib=float(values["farm_gpu_memory_gib"]),
        memory_gib=float(values["farm_memory_gib"]),
        program=str(values["farm_program"]),
        folder=folder,
        hand_over=str(values["farm_command"]),
    )
