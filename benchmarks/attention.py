"""Seconds of every attention that torch has here: `python benchmarks/attention.py [TOKENS [PRECISION [BATCH]]]`.

By default the 2B model's size on a GPU, 22278 tokens in bfloat16, and 1024 in float32 on a CPU; a batch of two, as
guidance has it. Each is held against float32 first; one that cannot run or is wrong is told as such. Prints the median,
and TFLOP/s by it: two products of 2 x TOKENS^2 x 64 for each of 30 heads.
"""

from __future__ import annotations

import sys

import torch

from layerflow.models.places import DTYPES
from layerflow_export.attention import TORCHS_OWN, attentions, cpu_seconds, cuda_seconds, machine_name, measured

HEADS, WIDTH = 30, 64


@torch.inference_mode()
def main(tokens: int = 0, precision: str = "", batch: int = 2) -> None:
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    tokens = tokens or (22278 if on_gpu else 1024)
    dtype = DTYPES[precision or ("bfloat16" if on_gpu else "float32")]
    joint = (batch, tokens, HEADS, WIDTH)
    q, k, v = (torch.randn(joint, dtype=dtype, device=device).transpose(1, 2) for _ in range(3))
    candidates = (*attentions(), TORCHS_OWN)
    seconds = measured(q, k, v, candidates, cuda_seconds if on_gpu else cpu_seconds)
    print(machine_name(device) if on_gpu else f"CPU, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"{batch} x {HEADS} heads, {tokens} tokens, head width {WIDTH}, {dtype}")
    flop = 4 * batch * HEADS * tokens**2 * WIDTH
    for candidate in candidates:
        if candidate.name not in seconds:
            print(f"{candidate.name:10} cannot run here, or is wrong")
            continue
        taken = seconds[candidate.name]
        print(f"{candidate.name:10} {1e3 * taken:9.3f} ms  {flop / taken / 1e12:8.3f} TFLOP/s")


if __name__ == "__main__":
    told = sys.argv[1:]
    main(*map(int, told[:1]), *told[1:2], *map(int, told[2:3]))
