"""A bench without processes of its own."""

from __future__ import annotations

import in_process
import pytest

from layerflow_export.bench import ceiling, rounds


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers live in this process, and the matrices of the ceiling are small."""
    monkeypatch.setattr(rounds, "working", in_process.working)
    monkeypatch.setattr(ceiling, "SIZES", {"cpu": (64,)})
