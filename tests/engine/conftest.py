"""Models of random weights that any test of the engine may use; nobody writes into them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that does all four tasks, 8 frames of 32 x 48 pixels."""
    from tiny import write_tiny_model

    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def released_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model laid out like the released RGBA checkpoints, with a video VAE."""
    from tiny import write_tiny_released

    return write_tiny_released(tmp_path_factory.mktemp("models") / "released")


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Torch on one thread: tiny tensors gain nothing from more, and on a busy machine threads wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
