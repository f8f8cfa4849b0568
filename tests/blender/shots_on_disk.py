"""Plates and layers of the tests, and how they are read."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import OpenImageIO as oiio

from layerflow import color, layers
from layerflow.exr import read_stack
from layerflow.layers import LayerStack

EXAMPLE = Path(__file__).parents[2] / "examples" / "plate"
FIRST = 1001  # of the example's files
COUNT = 8


def plate(folder: Path, count: int = COUNT) -> list[str]:
    """The first frames of the example plate, copied into `folder`; their names."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"plate.{FIRST + index}.png" for index in range(count)]
    for name in names:
        shutil.copy(EXAMPLE / name, folder)
    return names


def pixels(path: Path | str) -> np.ndarray:
    """[H, W, C] float32 of a file as it is."""
    found: np.ndarray = oiio.ImageBuf(str(path)).get_pixels(oiio.FLOAT)
    assert found.size, path
    return found


def stack(pattern: str, frame: int) -> LayerStack:
    """The layered frame that the engine wrote."""
    return read_stack([Path(pattern % frame)])


def recomposed(pattern: str, frame: int) -> np.ndarray:
    """[H, W, 3] scene-linear: the foreground over the background, by the engine's own over."""
    found = stack(pattern, frame)
    return np.asarray(layers.over(found.layers["foreground"], found.layers["background"])[0], np.float32)


def displayed(linear: np.ndarray) -> np.ndarray:
    """Linear Rec. 709 as sRGB shows it, clipped to 0..1."""
    return np.clip(color.convert(np.clip(linear, 0, None), "lin_rec709", "sRGB"), 0, 1)
