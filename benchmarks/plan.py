"""How near `layerflow plan --measure` comes: `python benchmarks/plan.py [ROUNDS]`.

Three shots of `mini`, from the start of the process to its end: one that is all sampling, one that is all files, and a
short one. In turns the plan is measured and the shot is made. Prints seconds, their ratio and the load.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio

WORDS = {"foreground": "a dog", "background": "a beach"}


def write_plate(folder: Path, count: int, width: int, height: int) -> str:
    """A plate of a disc that moves over a ramp with grain, half-float EXR."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:height, :width] / height
    for number in range(1, count + 1):
        disc = (columns - 0.4 - number / 200) ** 2 + (rows - 0.5) ** 2 < 0.06
        pixels = np.where(disc[..., None], (0.6, 0.2, 0.1), 0.1 + 0.3 * rows[..., None]) + rng.normal(
            0, 0.01, (height, width, 3)
        )
        output = oiio.ImageOutput.create(str(folder / "a.exr"))
        spec = oiio.ImageSpec(width, height, 3, "half")
        spec.attribute("compression", "zip")
        output.open(str(folder / f"plate.{number:04d}.exr"), spec)
        output.write_image(pixels.astype(np.float32))
        output.close()
    return str(folder / "plate.%04d.exr")


def seconds_of(*arguments: str) -> tuple[float, str]:
    """Seconds of one command, and what it printed last."""
    started = time.perf_counter()
    done = subprocess.run(["layerflow", *arguments], check=True, capture_output=True, text=True)
    return time.perf_counter() - started, done.stdout.splitlines()[-1]


def compared(name: str, request: dict[str, Any], folder: Path, rounds: int) -> None:
    shot = folder / f"{name}.json"
    shot.write_text(json.dumps({**request, "output": str(folder / name / "shot.%04d.exr")}), encoding="utf-8")
    found = []
    for _ in range(rounds):
        planned = json.loads(seconds_of("plan", str(shot), "--measure", "--json")[1])["devices"][0]["alone_s"]
        made, _ = seconds_of(*command(request, folder / name), "--overwrite", "--json")
        found.append((planned, made))
        print(
            f"{name}: planned {planned:.1f} s, made in {made:.1f} s, {planned / made - 1:+.1%}; load {load()}",
            flush=True,
        )
    planned, made = (statistics.median(each) for each in zip(*found, strict=True))
    print(f"{name}: medians {planned:.1f} s and {made:.1f} s, {planned / made - 1:+.1%}", flush=True)


def command(request: dict[str, Any], folder: Path) -> list[str]:
    """The plain command of a request."""
    options = {"foreground": "--foreground", "background": "--background", "steps": "--steps"}
    plate = [request["plate"]] if "plate" in request else ["--frames", f"1-{request['num_frames']}"]
    given = [text for name, option in options.items() if name in request for text in (option, str(request[name]))]
    return [request["task"], *plate, *given, "-o", str(folder / "shot.%04d.exr")]


def load() -> str:
    return f"{os.getloadavg()[0]:.1f}"


def main(rounds: str = "3") -> None:
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        os.environ["LAYERFLOW_CACHE"] = str(folder / "cache")
        plate = write_plate(folder / "plate", 24, 1280, 720)
        cases = {
            "sampling": {"task": "generate", **WORDS, "num_frames": 40, "steps": 24},
            "files": {"task": "decompose", "plate": plate},
            "short": {"task": "generate", **WORDS, "num_frames": 8},
        }
        for name, request in cases.items():
            compared(name, request, folder, int(rounds))


if __name__ == "__main__":
    main(*sys.argv[1:])
