"""A few steps of a stage in as many processes as torchrun started; the main one prints its losses as JSON.

`torchrun --nproc-per-node 2 train_in_two.py CONFIG OUTPUT BATCH STAGE [--spread] [--resume] [KEY=VALUE]`
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from accelerate import Accelerator, DistributedType, FullyShardedDataParallelPlugin
from stagecraft import stage_config

from layerflow.training.devices import BFLOAT16, open_accelerator
from layerflow.training.stages import train_stage
from layerflow.training.watching import Told


def spreading(accelerator: Accelerator) -> Accelerator:
    """`accelerator` with the weights spread by FSDP 2, as it would be with GPUs: of its own it has none for a CPU."""
    accelerator.state.distributed_type = DistributedType.FSDP
    accelerator.state.fsdp_plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2,
        auto_wrap_policy="transformer_based_wrap",
        transformer_cls_names_to_wrap=["CogVideoXBlock"],
        reshard_after_forward=True,
    )
    if accelerator.mixed_precision == "bf16":
        accelerator.state.fsdp_plugin.mixed_precision_policy = BFLOAT16
    return accelerator


if __name__ == "__main__":
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser()
    parser.add_argument("config", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("batch")
    parser.add_argument("stage")
    parser.add_argument("changes", nargs="*")
    parser.add_argument("--spread", action="store_true")
    parser.add_argument("--resume", action="store_true")
    asked = parser.parse_intermixed_args()
    config = stage_config(
        asked.config, asked.output, f"{asked.stage}.batch={asked.batch}", "check_every=4", *asked.changes
    )
    accelerator = open_accelerator(precision=config.precision, accumulation=config.accumulation)
    losses: list[float] = []
    made = train_stage(
        config,
        asked.stage,
        resume=asked.resume,
        told=Told(report=lambda progress: losses.append(progress.losses[-1])),
        accelerator=spreading(accelerator) if asked.spread else accelerator,
    )
    if made:
        print(json.dumps(losses), flush=True)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
