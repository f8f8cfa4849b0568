"""The moving average of the weights that are trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from layerflow.training.sharding import own_part, spread, whole


class Average:
    """An exponential moving average of the trained weights of a module, which begins as their first values."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.live = dict(trained_weights(module))
        self.kept = {name: weight.detach().clone() for name, weight in self.live.items()}
        self.num_updates = 0

    @torch.no_grad()
    def update(self) -> None:
        """Takes the weights of one more step into the average; those of the first step are the average."""
        kept, live = ([own_part(value) for value in each.values()] for each in (self.kept, self.live))
        if self.num_updates == 0:
            torch._foreach_copy_(kept, live)
        else:
            torch._foreach_lerp_(kept, live, 1.0 - self.decay)
        self.num_updates += 1

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Within it the module has the averaged weights."""
        before = {name: weight.detach().clone() for name, weight in self.live.items()}
        self.put()
        try:
            yield
        finally:
            _copy(before, self.live)

    def put(self) -> None:
        """Gives the module the averaged weights."""
        _copy(self.kept, self.live)

    def state_dict(self) -> dict[str, Tensor]:
        """The average, whole and on the CPU; every process has to ask."""
        return {name: whole(value) for name, value in self.kept.items()}

    def load_state_dict(self, state: Mapping[str, Tensor], num_updates: int) -> None:
        """What `state_dict` gave after so many updates."""
        _copy({name: spread(value, self.kept[name]) for name, value in state.items()}, self.kept)
        self.num_updates = num_updates


def trained_weights(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Name and value of all that the optimiser moves."""
    return ((name, weight) for name, weight in module.named_parameters() if weight.requires_grad)


@torch.no_grad()
def _copy(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
    for name, value in source.items():
        target[name].detach().copy_(value)
