"""The same training in one process and in two, and how many are started."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate import DistributedType
from accelerate.commands.config.config_args import load_config_from_file
from diffusers.models.transformers.cogvideox_transformer_3d import CogVideoXBlock
from safetensors.torch import load_file
from stagecraft import write_stage_data

from layerflow.training import config as training_config

HERE = Path(__file__).parent
SHIPPED = Path(training_config.__file__).parent / "configs"


def losses(*command: str | Path) -> list[float]:
    ran = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=HERE,
        env={**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def two_processes() -> tuple[str, ...]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(port))


@pytest.mark.long
def test_two_processes_train_as_one_with_the_whole_batch(tmp_path: Path) -> None:
    config = write_stage_data(tmp_path)
    one = losses("train_in_two.py", config, tmp_path / "one", "4", "motion-lora")
    two = losses(*two_processes(), "train_in_two.py", config, tmp_path / "two", "2", "motion-lora")
    assert len(one) == 4 and two == pytest.approx(one, rel=1e-5)
    check_same(tmp_path, "motion-lora/motion-lora.safetensors")


@pytest.mark.long
def test_weights_spread_over_two_processes_train_as_in_one_which_can_go_on(tmp_path: Path) -> None:
    config = write_stage_data(tmp_path)
    one = losses("train_in_two.py", config, tmp_path / "one", "4", "base")
    begun = ("train_in_two.py", config, tmp_path / "two", "2", "base", "base.steps=2", "--spread")
    first = losses(*two_processes(), *begun)
    last = losses("train_in_two.py", config, tmp_path / "two", "4", "base", "--resume")
    assert [len(first), len(last)] == [2, 2] and [*first, *last] == pytest.approx(one, rel=1e-5)
    check_same(tmp_path, "base/model/transformer/diffusion_pytorch_model.safetensors")


def check_same(root: Path, file: str) -> None:
    whole, halves = load_file(root / "one" / file), load_file(root / "two" / file)
    assert whole.keys() == halves.keys()
    for name, value in whole.items():
        torch.testing.assert_close(halves[name], value, rtol=1e-3, atol=3e-5)


@pytest.mark.parametrize(
    ("name", "machines", "processes", "spread"),
    [("gpus-8", 1, 8, False), ("gpus-8-fsdp", 1, 8, True), ("machines-2", 2, 16, False)],
)
def test_accelerate_takes_the_launch_files_that_are_shipped(
    name: str, machines: int, processes: int, spread: bool
) -> None:
    read = load_config_from_file(str(SHIPPED / f"{name}.yaml"))
    assert (read.num_machines, read.num_processes) == (machines, processes)
    assert read.distributed_type == (DistributedType.FSDP if spread else DistributedType.MULTI_GPU)
    if spread:
        blocks = read.fsdp_config["fsdp_transformer_layer_cls_to_wrap"]
        assert blocks == CogVideoXBlock.__name__ and read.fsdp_config["fsdp_version"] == 2
