"""What a machine has to work with, found without loading torch here."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from layerflow.server.survey import Survey, SurveyError, look, survey


@pytest.fixture
def two_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    card = SimpleNamespace(name="NVIDIA Test", total_memory=24 * 2**30)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: card)


def test_every_gpu_gets_a_worker(two_cards: None) -> None:
    found = look()
    assert [device["name"] for device in found.devices] == ["cuda:0", "cuda:1", "cpu"]
    assert found.devices[1]["product"] == "NVIDIA Test" and found.devices[1]["memory_bytes"] == 24 * 2**30
    assert found.workplaces == ("cuda:0", "cuda:1")


def test_without_one_the_cpu_does() -> None:
    assert Survey(devices=({"name": "cpu"},), models=()).workplaces == ("cpu",)


def test_the_bundled_model_is_found() -> None:
    (mini,) = [model for model in look().models if model["name"] == "mini"]
    assert {"generate", "decompose"} <= set(mini["tasks"]) and mini["width"] > 0
    assert mini["foregrounds"] == {"generate": 2, "decompose": 2, "background": 1, "foreground": 1}


def test_another_process_looks(tmp_path: Path) -> None:
    """A stand-in for Python that says what the true one would, after a library's own remark."""
    says = tmp_path / "says.py"
    says.write_text('print("a remark")\nprint(\'{"devices": [{"name": "cpu"}], "models": []}\')')
    assert survey([sys.executable, str(says)]) == Survey(devices=({"name": "cpu"},), models=())


@pytest.mark.parametrize("python", [["/no/such/python"], [sys.executable, "-c", "raise SystemExit(1)"]])
def test_an_engine_that_cannot_be_loaded_is_a_sentence(python: list[str]) -> None:
    with pytest.raises(SurveyError, match="cannot be loaded here; layerflow doctor says why"):
        survey(python)


@pytest.mark.slow
def test_what_it_finds_here_is_what_is_here() -> None:
    assert survey() == look()
