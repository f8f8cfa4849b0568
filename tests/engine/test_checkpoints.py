"""Checkpoints: whole or not there, the last few kept, a damaged one named and passed over."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from layerflow.errors import ModelError
from layerflow.training.average import Average
from layerflow.training.checkpoints import Checkpoints, read_checkpoint, refuse_over
from layerflow.training.sharding import load_whole_state, own_part, spread, whole, whole_state

KILLED = """
import os, sys
from pathlib import Path
import torch
from layerflow.training.checkpoints import Checkpoints
Path.replace = lambda self, target: os._exit(9)
Checkpoints(folder=Path(sys.argv[1])).write(2, {"step": torch.tensor(2)})
"""


def written(folder: Path, *steps: int, keep: int = 3) -> Checkpoints:
    checkpoints = Checkpoints(folder=folder, keep=keep)
    for step in steps:
        checkpoints.write(step, {"step": torch.tensor(step), "weights": torch.full((1000,), float(step))})
    return checkpoints


def test_the_last_few_are_kept_and_the_newest_is_taken(tmp_path: Path) -> None:
    checkpoints = written(tmp_path, 9, 10, 100, 1000, keep=2)
    assert [path.name for path in checkpoints.found()] == ["step-00001000.pt", "step-00000100.pt"]
    assert checkpoints.newest()["step"] == 1000


def test_killed_between_write_and_rename_the_one_before_is_whole(tmp_path: Path) -> None:
    written(tmp_path, 1)
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], env={**os.environ}, capture_output=True)
    assert ended.returncode == 9, ended.stderr
    left = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert left == [".step-00000002.pt.part", "step-00000001.pt"]
    assert Checkpoints(folder=tmp_path).newest()["step"] == 1
    assert written(tmp_path, 2).newest()["step"] == 2
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        "step-00000001.pt",
        "step-00000002.pt",
    ]


@pytest.mark.parametrize("damage", ["cut", "empty", "changed", "foreign"])
def test_a_damaged_one_is_named_and_passed_over(tmp_path: Path, damage: str) -> None:
    path = written(tmp_path, 1, 2).found()[0]
    data = path.read_bytes()
    middle = len(data) // 2
    broken = {
        "cut": data[:-200],
        "empty": b"",
        "changed": data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :],
        "foreign": b"a dog",
    }
    path.write_bytes(broken[damage])
    told: list[str] = []
    assert Checkpoints(folder=tmp_path, warn=told.append).newest()["step"] == 1
    assert len(told) == 1 and told[0].startswith(f"the checkpoint {path} is damaged (")
    assert told[0].endswith("; going on from the one before") and "\n" not in told[0]
    with pytest.raises(ModelError, match="is damaged"):
        read_checkpoint(path)


def test_none_and_none_that_is_whole(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no checkpoint in .*; train without --resume"):
        Checkpoints(folder=tmp_path).newest()
    written(tmp_path, 1).found()[0].write_bytes(b"")
    with pytest.raises(ModelError, match=r"every checkpoint in .* is damaged; train anew, without --resume"):
        Checkpoints(folder=tmp_path).newest()


def test_a_training_is_not_mixed_with_another(tmp_path: Path) -> None:
    refuse_over(tmp_path)
    written(tmp_path, 1)
    with pytest.raises(ModelError, match="holds a training already; give --resume to go on, or another -o"):
        refuse_over(tmp_path)


def test_the_average_is_of_trained_weights_and_shown_for_a_while() -> None:
    module = nn.Linear(2, 2)
    module.bias.requires_grad_(False)
    average = Average(module, decay=0.75)
    values = []
    for value in (1.0, 2.0, 4.0):
        nn.init.constant_(module.weight, value)
        average.update()
        values.append(float(average.kept["weight"][0, 0]))
    assert values == pytest.approx([1.0, 1.25, 1.9375]) and set(average.kept) == {"weight"}
    with average.shown():
        assert module.weight[0, 0].item() == pytest.approx(1.9375)
    assert module.weight[0, 0].item() == 4.0
    again = Average(module, decay=0.75)
    again.load_state_dict(average.state_dict(), average.num_updates)
    nn.init.constant_(module.weight, 0.0)
    for each in (average, again):
        each.update()
    assert torch.equal(again.kept["weight"], average.kept["weight"])


@pytest.fixture
def one_process(tmp_path: Path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def test_weights_that_fsdp_spreads_are_kept_whole(one_process) -> None:
    def stepped(steps: int, *, sharded: bool) -> tuple[nn.Linear, torch.optim.Optimizer]:
        torch.manual_seed(0)
        module = nn.Linear(4, 4)
        if sharded:
            fully_shard(module, mesh=torch.distributed.device_mesh.init_device_mesh("cpu", (1,)))
        optimizer = torch.optim.AdamW(module.parameters(), lr=0.1)
        for _ in range(steps):
            module(torch.ones(1, 4)).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()
        return module, optimizer

    module, optimizer = stepped(2, sharded=True)
    plain, same = stepped(2, sharded=False)
    assert isinstance(module.weight, DTensor)
    torch.testing.assert_close(whole(module.weight), whole(plain.weight))
    state = whole_state(optimizer)
    assert all(type(value) is torch.Tensor for own in state["state"].values() for value in own.values())
    other, fresh = stepped(0, sharded=True)
    with torch.no_grad():
        other.weight.copy_(spread(whole(module.weight), other.weight))
        other.bias.copy_(spread(whole(module.bias), other.bias))
    load_whole_state(fresh, state)
    for network, moved in ((other, fresh), (plain, same)):
        network(torch.ones(1, 4)).square().sum().backward()
        moved.step()
    torch.testing.assert_close(whole(other.weight), whole(plain.weight))


def test_the_average_of_weights_that_fsdp_spreads(one_process) -> None:
    module = nn.Linear(4, 4)
    fully_shard(module, mesh=torch.distributed.device_mesh.init_device_mesh("cpu", (1,)))
    average = Average(module, decay=0.75)
    for value in (1.0, 2.0):
        with torch.no_grad():
            own_part(module.weight).fill_(value)
        average.update()
    assert isinstance(average.kept["weight"], DTensor)
    torch.testing.assert_close(average.state_dict()["weight"], torch.full((4, 4), 1.25))
