"""Seconds and peak memory of loading a transformer of the released width, bare and with a LoRA merged, random weights.

`python benchmarks/lora.py [BLOCKS]`; 10 blocks, the default, are a third of the released 30. The weights are stored and
loaded in bfloat16; the LoRA has rank 128 on attention and feed-forward. Each way runs in a process of its own. The peak
is of what the process holds itself: pages of the model's file that the system may drop are not counted.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import torch
from safetensors.torch import save_file

from layerflow.layout import VARIANTS
from layerflow.models.folder import Manifest, open_model, write_manifest
from layerflow.models.network import load_transformer
from layerflow.sampler import Sampler
from layerflow.transformer import LayerFlowTransformer

RANK = 128
TARGETS = ("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0", "ff.net.0.proj", "ff.net.2")


def write(folder: Path, blocks: int) -> None:
    """A model folder that has a transformer and nothing else, and a LoRA for it beside."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    network = LayerFlowTransformer(num_blocks=blocks)
    torch.set_default_dtype(before)
    network.save_pretrained(folder / "transformer")
    variant = VARIANTS["gen_rgba"]
    about = {"height": 480, "width": 720, "fps": 8.0, "prompt_tokens": 226, "licence": "none", "sampler": Sampler()}
    layouts = {variant.task: variant.layout}
    write_manifest(folder, Manifest(name="benchmark", layouts=layouts, codec="cogvideox", **about))
    tensors = {}
    for name in (f"transformer_blocks.{block}.{target}" for block in range(blocks) for target in TARGETS):
        outputs, inputs = network.get_parameter(f"{name}.weight").shape
        tensors[f"transformer.{name}.lora_A.weight"] = 0.01 * torch.randn(RANK, inputs, dtype=torch.bfloat16)
        tensors[f"transformer.{name}.lora_B.weight"] = 0.01 * torch.randn(outputs, RANK, dtype=torch.bfloat16)
    save_file(tensors, folder.parent / "lora.safetensors")


def load(folder: Path, lora: list[str]) -> None:
    """Loads the transformer and prints what it took."""
    held, done = [_held_gib()], threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            held.append(_held_gib())

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.monotonic()
    network = load_transformer(open_model(folder), dtype=torch.bfloat16, lora=lora)
    seconds = time.monotonic() - started
    done.set()
    watcher.join()
    peak = max(held) - held[0]
    weights = sum(weight.nbytes for weight in network.parameters()) / 2**30
    measured = {"seconds": round(seconds, 1), "weights_gib": round(weights, 2), "peak_gib": round(peak, 2)}
    print(json.dumps({"loras": len(lora), **measured}))


def _held_gib() -> float:
    memory = psutil.Process().memory_info()
    return float(memory.rss - memory.shared) / 2**30


def main(blocks: int) -> None:
    """Writes the model in a process of its own, then loads it each way."""
    with tempfile.TemporaryDirectory() as place:
        folder = str(Path(place) / "model")
        lora = str(Path(place) / "lora.safetensors")
        for arguments in (["--write", folder, str(blocks)], ["--load", folder], ["--load", folder, lora]):
            subprocess.run([sys.executable, __file__, *arguments], check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--write"]:
        write(Path(sys.argv[2]), int(sys.argv[3]))
    elif sys.argv[1:2] == ["--load"]:
        load(Path(sys.argv[2]), sys.argv[3:])
    else:
        main(int((*sys.argv[1:], "10")[0]))
