"""One interpreter for all tests of the kernels; starting one takes seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from in_interpreter import Run, interpreter


@pytest.fixture(scope="session")
def run() -> Iterator[Run]:
    """Calls a function in a process in which Triton interprets its kernels."""
    with interpreter() as run:
        yield run
