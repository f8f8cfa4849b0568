"""PyTorch files from anywhere: what is read of them, and that nothing in them runs."""

from __future__ import annotations

import argparse
import os
import pickle
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from layerflow.errors import ModelError
from layerflow.models import checkpoint
from layerflow.models.checkpoint import open_checkpoint

WEIGHTS = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4, dtype=torch.bfloat16)}


def saved(path: Path, values: Any) -> Path:
    torch.save(values, path)
    return path


class Calls:
    """What pickles as a call."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("wrapper", [None, "module", "state_dict"])
def test_the_tensors_of_a_checkpoint(tmp_path: Path, wrapper: str | None) -> None:
    values = WEIGHTS if wrapper is None else {wrapper: WEIGHTS, "iteration": 7}
    tensors = open_checkpoint(saved(tmp_path / "c.pt", values))
    assert tensors.keys() == WEIGHTS.keys()
    assert all(torch.equal(tensors[name], value) for name, value in WEIGHTS.items())


def test_tensors_are_views_of_the_file(tmp_path: Path) -> None:
    """Opening reads no weights: what is changed in the file afterwards shows."""
    path = saved(tmp_path / "c.pt", WEIGHTS)
    tensors = open_checkpoint(path)
    content = path.read_bytes()
    place = content.index(np.arange(6, dtype=np.float32).tobytes())
    with path.open("r+b") as file:
        file.seek(place)
        file.write(np.float32(42.0).tobytes())
    assert tensors["a.weight"][0, 0] == 42.0


def test_what_else_a_training_run_leaves_is_passed_over(tmp_path: Path) -> None:
    state = {
        "module": WEIGHTS,
        "random_rng_state": random.getstate(),
        "np_rng_state": np.random.get_state(),
        "loss": np.float64(0.5),
        "args": argparse.Namespace(lr=1e-3),
        "param_shapes": [torch.Size([2, 3])],
    }
    assert open_checkpoint(saved(tmp_path / "c.pt", state)).keys() == WEIGHTS.keys()


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda mark: Calls(os.system, f"touch {mark}"), "system"),
        (lambda mark: Calls(exec, f"open({str(mark)!r}, 'w')"), "exec"),
        (lambda mark: Calls(eval, f"open({str(mark)!r}, 'w')"), "eval"),
        (lambda mark: Calls(getattr, Path(mark), "touch"), "getattr"),
        (lambda mark: Calls(pickle.loads, pickle.dumps(Calls(os.mkdir, str(mark)))), "loads"),
        (lambda mark: Calls(torch.load, str(mark)), "load"),
    ],
)
def test_code_in_a_checkpoint_is_named_and_never_runs(tmp_path: Path, call: Any, named: str) -> None:
    mark = tmp_path / "ran"
    for where in ({"module": WEIGHTS, "x": call(mark)}, {"module": {**WEIGHTS, "y": call(mark)}}, call(mark)):
        with pytest.raises(ModelError, match=rf"would run \S*{named}\S* when it is opened, and was not; get") as caught:
            open_checkpoint(saved(tmp_path / "evil.pt", where))
        assert not mark.exists() and "\n" not in str(caught.value)


def test_the_test_above_would_see_code_run(tmp_path: Path) -> None:
    path = saved(tmp_path / "evil.pt", Calls(os.mkdir, str(tmp_path / "ran")))
    torch.load(path, weights_only=False)
    assert (tmp_path / "ran").exists()


def test_a_view_that_claims_more_than_the_file_holds(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"huge in .* is not a plain tensor"):
        open_checkpoint(saved(tmp_path / "c.pt", {"huge": torch.zeros(1).expand(2**40)}))
    with pytest.raises(ModelError, match=r"s in .* is not a plain tensor"):
        open_checkpoint(saved(tmp_path / "c.pt", {"s": torch.eye(3).to_sparse()}))


def rewritten(path: Path, target: Path, compression: int = zipfile.ZIP_STORED, **extra: bytes) -> Path:
    """The same archive, its entries packed otherwise and some of them added."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w", compression) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
        for name, content in extra.items():
            new.writestr(f"c/{name}/data.pkl", content)
    return target


def test_an_archive_as_torch_does_not_write_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "c.pt", WEIGHTS)
    open_checkpoint(rewritten(path, tmp_path / "same.pt"))
    for odd in (
        rewritten(path, tmp_path / "packed.pt", zipfile.ZIP_DEFLATED),
        rewritten(path, tmp_path / "two.pt", other=b"x"),
    ):
        with pytest.raises(ModelError, match="is not an archive as PyTorch writes them; get it"):
            open_checkpoint(odd)
    monkeypatch.setattr(checkpoint, "MAX_PICKLE_BYTES", 10)
    with pytest.raises(ModelError, match="is not an archive as PyTorch writes them; get it"):
        open_checkpoint(path)


def test_what_is_no_checkpoint(tmp_path: Path) -> None:
    torch.save(WEIGHTS, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    (tmp_path / "text.pt").write_text("weights")
    (tmp_path / "empty.pt").touch()
    for name in ("old.pt", "text.pt", "empty.pt"):
        with pytest.raises(ModelError, match=rf"{name} is not a PyTorch checkpoint, or only a part of one; download"):
            open_checkpoint(tmp_path / name)
    with pytest.raises(ModelError, match=r"there is no file .*none.pt; give"):
        open_checkpoint(tmp_path / "none.pt")
    for values in ([1, 2], {"module": 3}, {}):
        with pytest.raises(ModelError, match="holds no weights; give"):
            open_checkpoint(saved(tmp_path / "other.pt", values))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("checkpoints") / "whole.pt", {"module": WEIGHTS, "n": np.float64(1.0)})


@given(share=st.floats(0, 1, exclude_max=True))
def test_a_part_of_a_file(whole: Path, share: float) -> None:
    content = whole.read_bytes()
    part = whole.with_name("part.pt")
    part.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ModelError):
        open_checkpoint(part)


@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255))
@example(place=0.0326, value=0)  # another protocol, of which torch warns
@example(place=0.24464, value=98)  # a state that numpy's own dtype does not survive
def test_a_flipped_byte_is_a_sentence_or_another_number(whole: Path, place: float, value: int) -> None:
    content = bytearray(whole.read_bytes())
    content[int(place * len(content))] = value
    flipped = whole.with_name("flipped.pt")
    flipped.write_bytes(content)
    try:
        tensors = open_checkpoint(flipped)
    except ModelError as error:
        assert "\n" not in str(error)
    else:
        assert all(isinstance(value, torch.Tensor) for value in tensors.values())
