"""Weights that FSDP has spread over processes, whole again, and the way back. What is not spread is left as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor


def whole(value: Tensor) -> Tensor:
    """A copy of all of `value` on the CPU; every process has to ask for it."""
    full = value.full_tensor() if isinstance(value, DTensor) else value
    return full.detach().to("cpu", copy=True)


@torch.no_grad()
def own_part(value: Tensor) -> Tensor:
    """What this process has of `value`, itself and not a copy: what is done to every number by itself is done there."""
    return value.to_local() if isinstance(value, DTensor) else value.detach()


def spread(value: Tensor, like: Tensor) -> Tensor:
    """`value`, whole, as `like` is: on its device, and only this process's part of it where that is spread."""
    if isinstance(like, DTensor):
        return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)
    return value.to(like.device)


def whole_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The optimiser's state_dict with whole tensors on the CPU."""
    state = optimizer.state_dict()
    moments = {number: {name: _whole(value) for name, value in own.items()} for number, own in state["state"].items()}
    return {**state, "state": moments}


def load_whole_state(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Gives the optimiser what `whole_state` gave."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    moments = {
        number: {name: _spread(value, weights[number]) for name, value in own.items()}
        for number, own in state["state"].items()
    }
    optimizer.load_state_dict({**state, "state": moments})


def _whole(value: Any) -> Any:
    return whole(value) if isinstance(value, Tensor) else value


def _spread(value: Any, weight: Tensor) -> Any:
    is_moment = isinstance(value, Tensor) and value.shape == weight.shape and value.ndim > 0
    return spread(value, weight) if is_moment else value
