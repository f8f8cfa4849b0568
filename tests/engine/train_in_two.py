"""A few steps of the Motion LoRA in as many processes as torchrun started; the main one prints its losses as JSON.

`torchrun --nproc-per-node 2 train_in_two.py CONFIG OUTPUT BATCH`
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from stagecraft import stage_config

from layerflow.training.stages import train_stage
from layerflow.training.watching import Told

if __name__ == "__main__":
    torch.set_num_threads(1)
    config, output, batch = sys.argv[1:]
    losses: list[float] = []
    made = train_stage(
        stage_config(Path(config), Path(output), f"motion-lora.batch={batch}", "check_every=4"),
        "motion-lora",
        told=Told(report=lambda progress: losses.append(progress.losses[-1])),
    )
    if made:
        print(json.dumps(losses), flush=True)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
