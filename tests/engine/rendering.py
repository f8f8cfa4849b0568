"""Plates, requests and what is left on disk: what the tests of whole shots share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest
import torch
from pictures import gradient, write_image

from layerflow import shots
from layerflow.delivery import Delivery
from layerflow.wire import Request

PROMPTS = {"foreground": "a red dog", "background": "the garden at night"}


def write_plate(
    folder: Path, *, count: int = 11, channels: int = 3, size: tuple[int, int] = (16, 24), dim: float = 1.0
) -> str:
    """Writes `dog.%04d.exr` from frame 1001, ACEScg, 25 frames per second; returns its pattern."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        pixels = 0.5 * dim * gradient(*size, channels, shift=index / 50)
        if channels == 4:
            pixels[..., 3] = np.linspace(0, 1, size[1])
        attributes = {"oiio__ColorSpace": "ACEScg", "FramesPerSecond": 25.0, "layerflow__alphaMode": "straight"}
        write_image(folder / f"dog.{1001 + index}.exr", pixels, **attributes)
    return str(folder / "dog.%04d.exr")


def request(model: Path, output: Path, /, *, task: str = "decompose", **changes: Any) -> Request:
    """A request for `output/dog.%04d.exr`."""
    values = {**PROMPTS, "model": str(model), "output": str(output / "dog.%04d.exr"), **changes}
    return Request(task, **values)


def render(model: Path, output: Path, /, *, task: str = "decompose", **changes: Any) -> shots.ShotResult:
    """The shot of such a request; keywords that `shots.render` knows go there."""
    own = {
        name: changes.pop(name) for name in ("overwrite", "resume", "on_event", "stopped", "engines") if name in changes
    }
    return shots.render(request(model, output, task=task, **changes), **own)


def stopping_at(frame: int, patch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """A `stopped` that turns true when frame `frame` is about to be written, which it then never is."""
    asked, write = threading.Event(), Delivery.write

    def slowly(self: Delivery, number: int, *rest: Any) -> Any:
        while number == frame:
            asked.set()
            torch.zeros(1)  # until it is not let
        return write(self, number, *rest)

    patch.setattr(Delivery, "write", slowly)
    return asked.is_set


def contents(folder: Path) -> dict[str, bytes]:
    """Every file under `folder`, hidden ones too."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def frames(folder: Path) -> dict[str, bytes]:
    """Every file under `folder` that carries a final name."""
    return {name: data for name, data in contents(folder).items() if not name.startswith(".")}


def channels(path: Path) -> dict[str, np.ndarray]:
    """Every channel of an EXR by name, as the OpenEXR library reads it."""
    planes = OpenEXR.File(str(path), separate_channels=True).channels()
    return {name: np.asarray(channel.pixels, np.float32) for name, channel in planes.items()}


def header(path: Path) -> dict[str, Any]:
    """An EXR's header, as the OpenEXR library reads it."""
    return dict(OpenEXR.File(str(path)).header())
