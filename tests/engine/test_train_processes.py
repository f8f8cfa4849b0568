"""The same training in one process and in two."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from stagecraft import write_stage_data

HERE = Path(__file__).parent


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


@pytest.mark.long
def test_two_processes_train_as_one_with_the_whole_batch(tmp_path: Path) -> None:
    config = write_stage_data(tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(port))
    one = losses("train_in_two.py", config, tmp_path / "one", "4")
    two = losses(*launch, "train_in_two.py", config, tmp_path / "two", "2")
    assert len(one) == 4 and two == pytest.approx(one, rel=1e-5)
    file = "motion-lora/motion-lora.safetensors"
    whole, halves = load_file(tmp_path / "one" / file), load_file(tmp_path / "two" / file)
    for name, value in whole.items():
        torch.testing.assert_close(halves[name], value, rtol=1e-3, atol=1e-5)
