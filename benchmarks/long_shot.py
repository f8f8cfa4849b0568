"""What a long shot takes beside a short one: `python benchmarks/long_shot.py FOLDER [WIDTH HEIGHT [FRAMES ...]]`.

Takes apart shots of 32 and 240 frames (or FRAMES), 1920 x 1080 (or WIDTH HEIGHT), scene-linear EXR of known layers,
with the bundled model, each in a process of its own. Prints one JSON line a shot: its peak memory, wall and CPU seconds
per frame, the wall seconds from the first frame on as well, and the most files and bytes that its journal held. FOLDER
gets plate and layers, about 25 MB a frame of 1920 x 1080, and is left empty.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from layerflow import exr
from layerflow.evaluate.synthetic import COLORSPACE, LayeredShot
from layerflow.layers import LayerStack, PictureFormat, over, with_alpha

SIZE = (1920, 1080)
DISTINCT = 16  # frames that are drawn; a longer plate goes to and fro through them
LENGTHS = (32, 240)


def write_plate(folder: Path, width: int, height: int, num_frames: int) -> str:
    """Frames from 1001 on; those that repeat are links to the first of their kind. Their pattern."""
    folder.mkdir(parents=True)
    shot = LayeredShot(kind="blur", width=width, height=height)
    for number in range(num_frames):
        path, step = folder / f"plate.{1001 + number}.exr", number % (2 * DISTINCT - 2)
        first = folder / f"plate.{1001 + min(step, 2 * DISTINCT - 2 - step)}.exr"
        if first == path:
            truth = shot.frame(number)
            blended = over(with_alpha(truth.foreground, truth.alpha), truth.background)
            stack = LayerStack(
                layers={"background": np.asarray(blended[None], np.float32)},
                frames=(1001 + number,),
                format=PictureFormat(width=width, height=height),
                colorspace=COLORSPACE,
            )
            exr.write_layer_frame(path, stack, 0, "background", header={})
        else:
            os.link(first, path)
    return str(folder / "plate.%04d.exr")


def measure(folder: Path, width: int, height: int, num_frames: int) -> dict[str, object]:
    """One shot, from the start of its process to its end."""
    plate, out = write_plate(folder / "plate", width, height, num_frames), folder / "out"
    command = [sys.executable, "-m", "layerflow.cli", "decompose", plate, "-o", str(out / "shot.%04d.exr")]
    started = time.monotonic()
    process = subprocess.Popen([*command, "--foreground", "a ball", "--json"], stdout=subprocess.DEVNULL)
    most = np.zeros(2, np.int64)
    while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
        most = np.maximum(most, journal_size(out / ".shot.layerflow"))
        time.sleep(0.2)
    _, code, usage = ended
    seconds = time.monotonic() - started
    steady = steady_seconds(out)
    shutil.rmtree(folder)
    return {
        "frames": num_frames,
        "exit_code": os.waitstatus_to_exitcode(code),
        "peak_gib": round(usage.ru_maxrss / 2**20, 3),
        "seconds_per_frame": round(seconds / num_frames, 3),
        "steady_seconds_per_frame": round(steady, 3),
        "cpu_seconds_per_frame": round((usage.ru_utime + usage.ru_stime) / num_frames, 3),
        "journal_files": int(most[0]),
        "journal_mb": round(float(most[1]) / 1e6, 2),
    }


def steady_seconds(out: Path) -> float:
    """Seconds per frame after the first one was there: without the start of the process, which every shot has once."""
    written = sorted(path.stat().st_mtime for path in out.glob("shot.*.exr"))
    return (written[-1] - written[0]) / (len(written) - 1)


def journal_size(folder: Path) -> tuple[int, int]:
    """Files and bytes; those that go while they are counted count as gone."""
    sizes = []
    for path in folder.glob("*"):
        try:
            sizes.append(path.stat().st_size)
        except FileNotFoundError:
            continue
    return len(sizes), sum(sizes)


if __name__ == "__main__":
    width, height, *lengths = map(int, sys.argv[2:] or SIZE)
    for num_frames in lengths or LENGTHS:
        print(json.dumps(measure(Path(sys.argv[1]) / f"{num_frames}", width, height, num_frames)), flush=True)
