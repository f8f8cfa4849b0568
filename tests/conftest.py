"""What every test may lean on: models, seeded noise, and a switch that turns a silent skip into a failure."""

from __future__ import annotations

import functools
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TypeGuard

import hypothesis
import numpy as np
import pytest

REQUIRE_ALL = bool(os.environ.get("LAYERFLOW_REQUIRE_ALL"))

# Machines differ in speed, so no example has a deadline. Where nothing may be skipped, nothing is left to chance.
hypothesis.settings.register_profile("layerflow", deadline=None, derandomize=REQUIRE_ALL)
hypothesis.settings.load_profile("layerflow")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps what the tests cache out of the user's own cache, and their jobs off a server elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAYERFLOW_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("LAYERFLOW_REMOTE", "0")
        yield


@pytest.fixture
def rng() -> np.random.Generator:
    """The same random numbers in every run."""
    return np.random.default_rng(7)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[ModuleType], ModuleType]:
    """A function that makes a module what an import of its name finds, until the test ends."""

    def put(module: ModuleType) -> ModuleType:
        package, _, leaf = module.__name__.rpartition(".")
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(importlib.import_module(package), leaf, module, raising=False)
        return module

    return put


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


@functools.cache
def has_gpu() -> bool:
    """Whether an NVIDIA GPU is there, or LAYERFLOW_REQUIRE_GPU says that it had better be."""
    import torch

    return bool(os.environ.get("LAYERFLOW_REQUIRE_GPU")) or torch.cuda.is_available()


def is_out_of_reach(item: pytest.Item) -> bool:
    """Whether a test needs hardware or released weights that this machine truly does not have."""
    no_gpu = item.get_closest_marker("gpu") is not None and not has_gpu()
    return no_gpu or (item.get_closest_marker("weights") is not None and "LAYERFLOW_WEIGHTS" not in os.environ)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves long tests to a run in which nothing may be skipped, or that asks for them by marker, word or name.

    Files with slow tests go first, so that at the end of a run no core waits long for another.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
    asked = REQUIRE_ALL or config.option.markexpr or config.option.keyword or any("::" in arg for arg in config.args)
    if not asked:
        long = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


def pytest_runtest_setup(item: pytest.Item) -> None:
    if is_out_of_reach(item):
        pytest.skip("needs an NVIDIA GPU, or released weights in LAYERFLOW_WEIGHTS")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    report = yield
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail") and not is_out_of_reach(item):
        refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    report = yield
    if REQUIRE_ALL and report.skipped:
        refuse_skip(report)
    return report


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure that still says why the test wanted to be skipped."""
    report.outcome = "failed"
    report.longrepr = f"skipped, which LAYERFLOW_REQUIRE_ALL does not allow: {report.longrepr[2]}"


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Which files differ, where two folders' contents are compared: bytes say nothing, and fill a log."""
    if op != "==" or not (_is_contents(left) and _is_contents(right)):
        return None
    differing = [name for name in sorted({*left, *right}) if left.get(name) != right.get(name)]
    return ["contents of two folders differ in", *differing]


def _is_contents(value: object) -> TypeGuard[dict[str, bytes]]:
    return isinstance(value, dict) and bool(value) and all(isinstance(data, bytes) for data in value.values())
