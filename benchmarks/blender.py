"""What the add-on costs Blender: `python benchmarks/blender.py [ROUNDS]`.

For every Blender that the tests have: how long it takes to start with the add-on; how long Generate keeps the
interface, on a plate's own files and on a scene that is rendered; and the longest that the main thread was kept while a
job of the bundled model ran.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests" / "blender"), str(ROOT / "tests" / "engine")]

from blender_process import VERSIONS, Blender, started  # noqa: E402 - of the tests, which know how to drive Blender
from server_process import serving  # noqa: E402
from shots_on_disk import plate  # noqa: E402

MS = 1000


def generated(blender: Blender, strip: str, rounds: int) -> tuple[list[float], list[float]]:
    """Milliseconds that each press of Generate took, and the longest that Blender was kept while each job ran."""
    presses, longest = [], []
    blender.do("select", strip)
    for _ in range(rounds):
        pressed = blender.do("press", "generate")
        assert not pressed["error"], pressed
        presses.append(pressed["seconds"] * MS)
        longest.append(blender.do("wait", 300)["longest"] * MS)
    return presses, longest


def measure(version: str, folder: Path, rounds: int) -> None:
    """Prints the rows of one Blender."""
    began = time.perf_counter()
    with started(version, folder / "resources") as blender:
        print(f"Blender {version}: started and enabled in {time.perf_counter() - began:.2f} s")
        names = plate(folder / "plate", 16)
        blender.do("set_scene", resolution_x=960, resolution_y=540)
        blender.do("save", str(folder / "shot.blend"))
        blender.do("add_images", "plate", str(folder / "plate"), names, 1, 1)
        blender.do("add_scene_strip", "scene", [0.2, 0.4, 0.3], 2, 1, 16)
        blender.do("settings", foreground="a parrot", background="a desert")
        for strip in ("plate", "scene"):
            presses, longest = generated(blender, strip, rounds)
            print(
                f"  {strip}: Generate {statistics.median(presses):.1f} ms, worst {max(presses):.1f} ms; "
                f"longest slice of the main thread {statistics.median(longest):.0f} ms, worst {max(longest):.0f} ms"
            )


def main() -> None:
    """Every Blender there is, one after the other, with one engine."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ.update(LAYERFLOW_RUNTIME=str(folder / "runtime"), LAYERFLOW_SERVER=str(folder / "server"))
        with serving("--root", str(folder)):
            for version in VERSIONS:
                measure(version, folder / version, rounds)


if __name__ == "__main__":
    main()
