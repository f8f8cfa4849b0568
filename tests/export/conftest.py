"""Graphs of tiny models, exported once: it takes seconds."""

from __future__ import annotations

from pathlib import Path

import pytest
from networks import exported


@pytest.fixture(scope="session")
def tiny_graph(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `tiny_model`'s graph, float32."""
    return exported(tiny_model, tmp_path_factory.mktemp("graphs") / "tiny")


@pytest.fixture(scope="session")
def released_graph(released_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `released_model`'s graph, float32."""
    return exported(released_model, tmp_path_factory.mktemp("graphs") / "released")


@pytest.fixture(scope="session")
def fp16_graph(released_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `released_model`'s graph in float16: two blocks."""
    return exported(released_model, tmp_path_factory.mktemp("graphs") / "fp16", "--precision", "float16")


@pytest.fixture(scope="session")
def bf16_graph(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `tiny_model`'s graph in bfloat16: two blocks."""
    return exported(tiny_model, tmp_path_factory.mktemp("graphs") / "bf16", "--precision", "bfloat16")


@pytest.fixture(scope="session")
def tiny_fp16_graph(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `tiny_model`'s graph in float16, which onnxruntime runs on a CPU."""
    return exported(tiny_model, tmp_path_factory.mktemp("graphs") / "tiny_fp16", "--precision", "float16")
