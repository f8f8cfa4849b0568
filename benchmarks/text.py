"""T5 of the released width with random weights, each way of holding it: memory, seconds, distance to float32.

`python benchmarks/text.py [BLOCKS [STORED [WAY ...]]]`: by default 4 blocks of the released 24, files in bfloat16,
every way. Each runs in a process of its own on the CPU and encodes one prompt twice; the second time is shown.
Private memory is what the process holds alone; the rest of its peak is pages of the weight files, which the system
takes back when it needs to.
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
from transformers import T5Config, T5EncoderModel

from layerflow.models.t5 import load_t5

WAYS = ("float32 keep", "bfloat16 keep", "bfloat16 stream", "int8 keep")


class Peak(threading.Thread):
    """Watches the memory of this process until `done`: GiB of its own, and with the pages of files."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.done = threading.Event()
        self.base, self.private, self.whole = psutil.Process().memory_info(), 0, 0

    def run(self) -> None:
        while not self.done.wait(0.01):
            now = psutil.Process().memory_info()
            self.whole = max(self.whole, now.rss - self.base.rss)
            self.private = max(self.private, now.rss - now.shared - (self.base.rss - self.base.shared))


def make_encoder(path: Path, num_blocks: int, stored: str) -> None:
    """Writes an encoder of the released width, block by block; every five hundredth channel is as loud as T5's are."""
    torch.manual_seed(0)
    shape = {"d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_heads": 64, "num_layers": num_blocks, "vocab_size": 32128}
    config = T5Config(**shape, feed_forward_proj="gated-gelu", is_encoder_decoder=False, tie_word_embeddings=True)
    with torch.device("meta"):
        encoder = T5EncoderModel(config)
    blocks = {f"encoder.block.{index}.": block for index, block in enumerate(encoder.encoder.block)}
    config.save_pretrained(path)
    weight_map = {}
    ends = {"shared.": encoder.shared, "encoder.final_layer_norm.": encoder.encoder.final_layer_norm}
    for prefix, part in (ends | blocks).items():
        part.to_empty(device="cpu").apply(encoder._init_weights)
        for layer in getattr(part, "layer", []):
            layer.layer_norm.weight.data[::500] *= 20
        file = f"model-{prefix}safetensors"
        state = {prefix + name: weight.to(getattr(torch, stored)) for name, weight in part.state_dict().items()}
        save_file(state, path / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(state, file)
        part.to("meta")
    (path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def encode(path: Path, precision: str, residence: str, out: Path) -> None:
    """Encodes 226 fixed tokens, writes the embedding and prints what it took."""
    ids = torch.randint(2, 32000, (1, 226), generator=torch.Generator().manual_seed(0))
    ids[:, 40:] = 0
    peak = Peak()
    peak.start()
    started = time.monotonic()
    encoder = load_t5(path, device=torch.device("cpu"), precision=precision, residence=residence)  # type: ignore[arg-type]
    loaded = time.monotonic()
    for _ in range(2):
        begun = time.monotonic()
        with torch.inference_mode():
            embedding = encoder(ids.clone(), attention_mask=torch.ones_like(ids)).last_hidden_state.float()
    seconds = time.monotonic() - begun
    peak.done.set()
    torch.save(embedding, out)
    figures = {"private_gib": peak.private / 2**30, "peak_gib": peak.whole / 2**30, "load_s": loaded - started}
    print(json.dumps({name: round(value, 2) for name, value in (figures | {"encode_s": seconds}).items()}))


def main(num_blocks: str = "4", stored: str = "bfloat16", *ways: str) -> None:
    """Runs every way and compares it with the first."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "text_encoder"
        make_encoder(path, int(num_blocks), stored)
        whole = None
        for way in ways or WAYS:
            out = Path(folder) / f"{way}.pt"
            command = [sys.executable, __file__, "--one", str(path), *way.split(), str(out)]
            said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
            embedding = torch.load(out)
            whole = embedding if whole is None else whole
            error = (embedding - whole).square().mean().sqrt() / whole.square().mean().sqrt()
            print(f"{way:16} off by {error:.2%}  {said}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        encode(Path(sys.argv[2]), sys.argv[3], sys.argv[4], Path(sys.argv[5]))
    else:
        main(*sys.argv[1:])
