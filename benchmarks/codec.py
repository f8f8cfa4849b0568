"""Streamed decoding against the whole clip on the full-size VAE with random weights: seconds, peak memory, difference.

`python benchmarks/codec.py [ROWS COLUMNS LATENT_FRAMES]`, in latents; 12 18 16, the default, is 64 frames of 96 x 144.
Each way runs in a process of its own. The differences are those of random weights; trained ones may be kinder.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX

from layerflow.codec import VideoVAE

WAYS = {
    "whole": {"streaming": False},
    "streamed": {"streaming": True},
    "streamed, tiles of 64": {"streaming": True, "tile": 64},
}


def decode(way: str, shape: list[int], out: Path) -> None:
    """Decodes fixed random latents one way, writes the pixels and prints what it took."""
    torch.manual_seed(0)
    codec = VideoVAE(AutoencoderKLCogVideoX(), **WAYS[way])
    rows, columns, frames = shape
    latents = torch.randn(frames, codec.latent_channels, rows, columns)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.monotonic()
    pixels = torch.cat(list(codec.stream(latents)))
    seconds = time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    np.save(out, pixels.numpy())
    print(json.dumps({"way": way, "seconds": round(seconds, 1), "decoding_gib": round(peak / 2**20, 2)}))


def main(arguments: list[str]) -> None:
    """Runs every way and compares it with the first."""
    shape = arguments or ["12", "18", "16"]
    with tempfile.TemporaryDirectory() as folder:
        files = {way: Path(folder) / f"{index}.npy" for index, way in enumerate(WAYS)}
        for way, file in files.items():
            subprocess.run([sys.executable, __file__, "--one", way, str(file), *shape], check=True)
        whole = np.load(files["whole"])
        for way, file in files.items():
            difference = np.abs(np.load(file) - whole)
            print(f"{way:24} worst {difference.max():.3f}  mean {difference.mean():.4f}  range {np.ptp(whole):.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        decode(sys.argv[2], [int(number) for number in sys.argv[4:]], Path(sys.argv[3]))
    else:
        main(sys.argv[1:])
