"""Layered EXR frames, as LayerFlow writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from layerflow.wire.exr_layers import layer_channels
from layerflow_desktop.models import color
from layerflow_desktop.models.exr_pixels import layer_of, read_planes
from layerflow_desktop.models.file_clip import FileClip
from layerflow_desktop.models.image_file import Part, finite, read_pixels, straight_of
from layerflow_desktop.models.opening import File, Files
from layerflow_desktop.models.picture import ClipError, Half

_OWN = re.compile(r"foreground\d*|background|residual")


def is_layered(part: Part) -> bool:
    """Whether a frame has layers of LayerFlow's: by its header, or by their names."""
    named = any(name.endswith(".R") and _OWN.fullmatch(name[:-2]) for name in part.channels)
    return part.kind == "openexr" and (named or bool(part.text("layerflow:layers")))


class LayeredClip(FileClip):
    """Layered frames. Colour is straight in what is read, however the files have it."""

    def __init__(
        self, text: str, files: Files, listed: Mapping[int, File], parts: list[Part], spaces: tuple[str, str]
    ) -> None:
        self.layers = tuple(_columns(parts[0]))
        super().__init__(text, files, listed, parts, spaces)

    def _read_layers(self, frame: int, parts: list[Part]) -> dict[str, Half]:
        part = parts[0]
        columns = _columns(part)
        if missing := [name for name in self.layers if name not in columns]:
            raise ClipError(f"{self._label(frame)} has no layer {missing[0]}, unlike others; render all frames alike")
        is_straight = part.text("layerflow:alphaMode") == "straight"
        has_matte = any(len(numbers) == 4 for numbers in columns.values())
        as_stored = self.source_colorspace == self.colorspace and (is_straight or not has_matte)
        stored = self._stored(frame, parts, columns, as_half=as_stored and str(part.spec.format) == "half")
        return {name: self._layer(stored.pop(name), as_stored, is_straight) for name in self.layers}

    def _stored(
        self, frame: int, parts: list[Part], columns: Mapping[str, list[int]], *, as_half: bool
    ) -> dict[str, Any]:
        """The layers as the file has them, half or float."""
        part, path = parts[0], self._listed[frame].path
        planes = read_planes(path, parts)
        if planes is not None:
            names = part.spec.channelnames
            found = {name: layer_of(planes, part, [names[number] for number in columns[name]]) for name in self.layers}
            if all(pixels is not None for pixels in found.values()):
                return found
        pixels = read_pixels(path, self._label(frame), part, range(part.spec.nchannels), as_half=as_half)
        return {name: _chosen(pixels, columns[name]) for name in self.layers}

    def _layer(self, stored: Any, as_stored: bool, is_straight: bool) -> Half:
        """One layer as it is shown."""
        if as_stored and stored.dtype == np.float16:
            return finite(stored)
        own = color.finite(stored.astype(np.float32))
        own = own if is_straight or own.shape[-1] == 3 else straight_of(own)
        return color.to_half(color.convert(own, self.source_colorspace, self.colorspace))


def _chosen(pixels: Any, columns: list[int]) -> Any:
    first = columns[0]
    is_row = columns == list(range(first, first + len(columns)))
    return pixels[..., first : first + len(columns)] if is_row else pixels[..., columns]


def _columns(part: Part) -> dict[str, list[int]]:
    return layer_channels(part.channels, part.text("layerflow:layers"))
