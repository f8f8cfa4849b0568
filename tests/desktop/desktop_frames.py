"""Small layers and plates on disk, written by the engine's own writer."""

from __future__ import annotations

import numpy as np
import OpenImageIO as oiio

from layerflow import exr
from layerflow.layers import LayerStack, PictureFormat

HEIGHT, WIDTH = 6, 8


def write_layers(folder, frames, name="dog_v001", level=0.25):
    folder.mkdir(exist_ok=True)
    shape = (len(frames), HEIGHT, WIDTH)
    foreground = np.full((*shape, 4), level, np.float32)
    background = np.full((*shape, 3), 0.5, np.float32)
    blended = foreground[..., :3] * level + background * (1 - level)
    stack = LayerStack(
        layers={"foreground": foreground, "background": background, "blended": blended},
        frames=tuple(frames),
        format=PictureFormat(width=WIDTH, height=HEIGHT),
        colorspace="ACEScg",
    )
    for index, frame in enumerate(frames):
        exr.write_frame(folder / f"{name}.{frame:04d}.exr", stack, index, header={})
    return str(folder / f"{name}.%04d.exr")


def write_plate(folder, frames):
    folder.mkdir(exist_ok=True)
    for frame in frames:
        pixels = np.full((HEIGHT, WIDTH, 3), frame % 256, np.uint8)
        output = oiio.ImageOutput.create("x.png")
        output.open(str(folder / f"plate.{frame:04d}.png"), oiio.ImageSpec(WIDTH, HEIGHT, 3, "uint8"))
        output.write_image(pixels)
        output.close()
    return str(folder / "plate.####.png")
