"""Where a network's weights are while it works, and while another does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def visiting(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Within it, `module` is on `device`; afterwards back where its first weight was.

    One that is there already is not touched: another thread may be at work with it.
    """
    home = next(module.parameters()).device
    if home.type == device.type and device.index in (None, home.index):
        yield
        return
    try:
        module.to(device)
        yield
    finally:
        module.to(home)
