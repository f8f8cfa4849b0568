"""What one maker takes of a node, and whether there is a node that has it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from layerflow.errors import RequestError

GIB = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Share:
    """The resources of one maker. Ray counts them, and holds no process to its cores or its memory."""

    gpus: float = 0.0
    cpus: float = 1.0
    memory_gib: float = 0.0
    accelerator: str = ""  # as Ray calls the kind of GPU, "L40S"

    @property
    def options(self) -> dict[str, Any]:
        """The options of a Ray actor."""
        options: dict[str, Any] = {"num_gpus": self.gpus, "num_cpus": self.cpus}
        if self.memory_gib:
            options["memory"] = int(self.memory_gib * GIB)
        if self.accelerator:
            options["accelerator_type"] = self.accelerator
        return options

    def times_in(self, total: Mapping[str, float]) -> int:
        """How often it fits into a node with these resources."""
        if self.accelerator and f"accelerator_type:{self.accelerator}" not in total:
            return 0
        wanted = {"GPU": self.gpus, "CPU": self.cpus, "memory": self.memory_gib * GIB}
        return min((int(total.get(name, 0.0) / value + 1e-9) for name, value in wanted.items() if value), default=0)

    def __str__(self) -> str:
        kind = f" {self.accelerator}" if self.accelerator else ""
        parts = [f"{self.gpus:g}{kind} GPU"] if self.gpus else []
        parts += [f"{self.cpus:g} {'core' if self.cpus == 1 else 'cores'}"] if self.cpus else []
        parts += [f"{self.memory_gib:g} GiB of memory"] if self.memory_gib else []
        return " and ".join(parts)


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """How a server uses a cluster."""

    address: str = ""  # of its head, "auto" for the one of this machine; empty: that of RAY_ADDRESS, or one of its own
    share: Share | None = None  # None: one GPU, or all the cores of the smallest node where no node has one
    most: int | None = None  # makers; None: as many as the nodes that are there can hold
    files: str = "auto"  # "path", "store", or whatever a node turns out to need

    def to_json(self) -> str:
        """What `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The options that `to_json` wrote down."""
        values = json.loads(text)
        share = values.pop("share")
        return cls(**values, share=Share(**share) if share else None)


def share_of(options: ClusterOptions, nodes: Iterable[Mapping[str, float]]) -> Share:
    """What a maker takes of a node. Raises RequestError where no node has that, and none is to be added."""
    nodes = list(nodes)
    share = options.share or usual_share(nodes)
    if not options.most and not room_for(share, nodes):
        raise no_room(share, nodes)
    return share


def usual_share(nodes: Iterable[Mapping[str, float]]) -> Share:
    """One GPU where a node has one; else all the cores of the smallest node."""
    nodes = list(nodes)
    if any(total.get("GPU", 0.0) >= 1.0 for total in nodes):
        return Share(gpus=1.0, cpus=1.0)
    return Share(cpus=max(1.0, min((total["CPU"] for total in nodes if total.get("CPU")), default=1.0)))


def room_for(share: Share, nodes: Iterable[Mapping[str, float]]) -> int:
    """How many makers of this share the nodes can hold at a time."""
    return sum(share.times_in(total) for total in nodes)


def no_room(share: Share, nodes: Iterable[Mapping[str, float]]) -> RequestError:
    """Says that there is no node for it, and what there is."""
    have = sorted({str(_all_of(total, share)) or "nothing" for total in nodes}) or ["no node at all"]
    return RequestError(
        f"no node of the Ray cluster can hold a worker of {share}, there is {', '.join(have)}; start one that can with "
        "ray start, or serve with a smaller share"
    )


def _all_of(total: Mapping[str, float], share: Share) -> Share:
    return Share(
        gpus=total.get("GPU", 0.0),
        cpus=total.get("CPU", 0.0),
        memory_gib=round(total.get("memory", 0.0) / GIB, 1) if share.memory_gib else 0.0,
    )
