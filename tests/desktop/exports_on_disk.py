"""A take on disk, and the engine as this Python has it: what the tests of exports share."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from layerflow import color, exr, layers
from layerflow.layers import LayerStack, PictureFormat
from layerflow_desktop.models.document import LayerState

WIDTH, HEIGHT, FRAMES = 32, 18, (1001, 1002, 1003)
STATES = tuple(LayerState(name=name) for name in ("foreground1", "foreground2", "background"))


def engine() -> list[str]:
    """The command line of the engine."""
    return [sys.executable, "-m", "layerflow.cli"]


def slow_engine(mark: str) -> list[str]:
    """An engine that waits at the frame whose name holds `mark`."""
    code = (
        "import sys, time\nfrom layerflow import exr\nread = exr.read_stack\n"
        f"def slow(paths):\n    time.sleep(60 if {mark!r} in paths[0].name else 0)\n    return read(paths)\n"
        "exr.read_stack = slow\nfrom layerflow.cli import main\nmain()\n"
    )
    return [sys.executable, "-c", code]


def stack_of(frames: Sequence[int] = FRAMES) -> LayerStack:
    """Layers of colours that a display has, half-float exact."""
    rng = np.random.default_rng(5)
    size = (len(frames), HEIGHT, WIDTH)
    named = {}
    for name in ("foreground1", "foreground2", "background"):
        shown = color.from_display(rng.random((*size, 3), np.float32) * 0.9, "ACEScg")
        named[name] = shown if name == "background" else layers.with_alpha(shown, rng.random(size, np.float32))
    halves = {name: pixels.astype(np.float16).astype(np.float32) for name, pixels in named.items()}
    form = PictureFormat(width=WIDTH, height=HEIGHT, fps=Fraction(24000, 1001))
    return LayerStack(layers=halves, frames=tuple(frames), format=form)


def write_take(folder: Path) -> str:
    """The pattern of a take."""
    folder.mkdir(parents=True, exist_ok=True)
    stack = stack_of()
    for index, frame in enumerate(stack.frames):
        exr.write_frame(folder / f"dog_v001.{frame}.exr", stack, index, header={})
    return str(folder / "dog_v001.%04d.exr")
