"""Which TensorRT is taken, and what it can be asked to build for."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from layerflow.errors import RequestError
from layerflow_export.trt.flavour import Flavour, installed

RTX = Flavour(name="tensorrt_rtx", version="1.7.1.116", targets=("sm75", "sm86", "sm89", "sm120"))
FULL = Flavour(name="tensorrt", version="11.4.0.106", targets=())


def module(name, monkeypatch, **contents):
    stand_in = ModuleType(name)
    vars(stand_in).update(__version__="9.9", **contents)
    monkeypatch.setitem(sys.modules, name, stand_in)


def test_the_full_tensorrt_comes_first(monkeypatch):
    capabilities = SimpleNamespace(__members__=dict.fromkeys(["NONE", "SM120", "SM89", "CURRENT"]))
    module("tensorrt_rtx", monkeypatch, ComputeCapability=capabilities)
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    assert installed() == Flavour(name="tensorrt_rtx", version="9.9", targets=("sm89", "sm120"))
    module("tensorrt", monkeypatch)
    assert installed() == Flavour(name="tensorrt", version="9.9", targets=())


def test_without_either_the_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with pytest.raises(RequestError, match=r"pip install 'layerflow\[export,tensorrt-rtx\]'"):
        installed()


def test_targets_are_sorted_and_have_a_default():
    assert RTX.checked_targets(()) == ("sm86", "sm89", "sm120") and FULL.checked_targets(()) == ("current",)
    assert RTX.checked_targets(("sm120", "sm89", "sm120")) == ("sm89", "sm120")
    assert RTX.checked_targets(("current",)) == FULL.checked_targets(("current",)) == ("current",)


@pytest.mark.parametrize(
    ("flavour", "targets", "sentence"),
    [
        (RTX, ("sm90",), "does not build for 'sm90'; it knows sm75, sm86"),
        (RTX, ("sm89", "current"), "does not build for 'current'"),
        (FULL, ("sm89",), "builds only for the GPU it runs on; pass --target current"),
    ],
)
def test_a_target_it_cannot_have_is_refused(flavour, targets, sentence):
    with pytest.raises(RequestError, match=sentence):
        flavour.checked_targets(targets)
