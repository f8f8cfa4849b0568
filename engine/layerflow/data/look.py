"""Clips of a dataset written out as files, to look at: contact sheets, or layered EXR."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from layerflow import color, exr, layers, preview
from layerflow.data.clip import LayeredClip
from layerflow.data.light import Pixels, unit
from layerflow.data.supply import LayeredFolder
from layerflow.files import make_folder
from layerflow.layers import LayerStack, PictureFormat
from layerflow.tone import PLAIN

Form = Literal["sheet", "exr"]
FORMS: tuple[Form, ...] = get_args(Form)
_RATE = Fraction(8)


def write_clips(
    data: LayeredFolder,
    folder: Path,
    num_clips: int,
    *,
    seed: int = 0,
    form: Form = "sheet",
    on_clip: Callable[[int], None] = lambda done: None,
) -> list[Path]:
    """Write `num_clips` clips of `data` below `folder`, a PNG sheet or a folder of layered EXR each; returns the files.

    Raises OutputError or PlateError.
    """
    make_folder(folder)
    written: list[Path] = []
    for number, clip in enumerate(data.clips(np.random.default_rng(seed), num_clips), start=1):
        written += _write(clip, folder, number, form)
        on_clip(number)
    return written


def stack_of(clip: LayeredClip) -> LayerStack:
    """`clip` as the layers that LayerFlow delivers: scene-linear, frames from 1."""
    names = ["foreground", *(f"foreground{number}" for number in range(2, len(clip.foregrounds) + 1))]
    pictures = {name: _linear(pixels) for name, pixels in zip(names, clip.foregrounds, strict=True)}
    num_frames, height, width = clip.background.shape[:3]
    return LayerStack(
        layers={
            **pictures,
            "background": _linear(clip.background),
            "blended": PLAIN.from_display(clip.blended, color.DEFAULT_LINEAR),
        },
        frames=tuple(range(1, num_frames + 1)),
        format=PictureFormat(width=width, height=height, fps=_RATE),
        colorspace=color.DEFAULT_LINEAR,
    )


def _linear(pixels: Pixels) -> layers.Pixels:
    return PLAIN.from_display(unit(pixels), color.DEFAULT_LINEAR)


def _write(clip: LayeredClip, folder: Path, number: int, form: Form) -> list[Path]:
    stack = stack_of(clip)
    if form == "sheet":
        path = folder / f"clip.{number:04d}.png"
        preview.write_contact_sheet(path, [stack], frames=preview.pick_frames(stack.frames))
        return [path]
    place = folder / f"clip.{number:04d}"
    make_folder(place)
    paths = [place / f"clip.{frame:04d}.exr" for frame in stack.frames]
    names = (*stack.foregrounds, "background", "blended")
    header = {f"layerflow:caption.{name}": caption for name, caption in zip(names, clip.captions, strict=True)}
    for index, path in enumerate(paths):
        exr.write_frame(path, stack, index, header=header)
    return paths
