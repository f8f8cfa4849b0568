"""A dataset folder held against its manifest."""

from __future__ import annotations

from pathlib import Path

from layerflow.data.manifest import Manifest, Record, read_manifest
from layerflow.data.store import read_png
from layerflow.errors import PlateError


def check_dataset(folder: Path) -> Manifest:
    """The manifest of `folder`, when every picture of it is there and as the manifest says. Raises PlateError."""
    manifest = read_manifest(folder)
    for record in manifest.items:
        _check_item(folder, record)
    return manifest


def _check_item(folder: Path, record: Record) -> None:
    for layer in record.layers:
        channels = 3 if layer.name == "background" else 4
        for number in range(1, record.frames + 1):
            path = folder / (layer.files % number)
            shape = read_png(path).shape
            if shape != (record.height, record.width, channels):
                raise PlateError(
                    f"{path} is {shape[1]}x{shape[0]} of {shape[2]} channels, the manifest says "
                    f"{record.width}x{record.height} of {channels}; take its folder away and make the dataset again"
                )
