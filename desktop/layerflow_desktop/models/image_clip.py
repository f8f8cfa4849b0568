"""Plates of image files: one picture each, with alpha where they have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from layerflow_desktop.models import color
from layerflow_desktop.models.exr_pixels import layer_of, read_planes
from layerflow_desktop.models.file_clip import FileClip
from layerflow_desktop.models.image_file import Part, finite, read_pixels, straight_of
from layerflow_desktop.models.opening import File, Files
from layerflow_desktop.models.picture import ClipError, Half

PLATE = "plate"


class ImageClip(FileClip):
    """A sequence of pictures, or one."""

    layers = (PLATE,)

    def __init__(
        self, text: str, files: Files, listed: Mapping[int, File], parts: list[Part], spaces: tuple[str, str]
    ) -> None:
        first = next(iter(listed))
        chosen, _ = plate_part(parts, f"frame {first} ({listed[first].path.name})")
        super().__init__(text, files, listed, [chosen], spaces)

    def _read_layers(self, frame: int, parts: list[Part]) -> dict[str, Half]:
        part, columns = plate_part(parts, self._label(frame))
        has_alpha, is_straight = len(columns) in (2, 4), _is_straight(part)
        as_stored = str(part.spec.format) == "half" and self.source_colorspace == self.colorspace
        as_half = as_stored and len(columns) == 3
        pixels = self._stored(frame, parts, part, columns, as_half=as_half)
        if as_half:
            return {PLATE: finite(pixels)}
        if len(columns) < 3:
            pixels = pixels[..., [0, 0, 0, 1][: 4 if has_alpha else 3]]
        pixels = color.finite(np.ascontiguousarray(pixels))
        if has_alpha:
            np.clip(pixels[..., 3], 0.0, 1.0, out=pixels[..., 3])
            pixels = pixels if is_straight else straight_of(pixels)
        return {PLATE: color.to_half(color.convert(pixels, self.source_colorspace, self.colorspace))}

    def _stored(self, frame: int, parts: list[Part], part: Part, columns: list[int], *, as_half: bool) -> Any:
        """The channels as the file has them: half, or else float."""
        path = self._listed[frame].path
        planes = read_planes(path, parts)
        if planes is not None:
            found = layer_of(planes, part, [part.spec.channelnames[column] for column in columns])
            if found is not None:
                return found if as_half else found.astype(np.float32)
        return read_pixels(path, self._label(frame), part, columns, as_half=as_half)


def plate_part(parts: list[Part], label: str) -> tuple[Part, list[int]]:
    """The part that is looked at, and its channels: R, G, B or grey, then A. Raises ClipError."""
    for prefix_of in (lambda part: [""], _layers):
        for part in parts:
            for prefix in prefix_of(part):
                if columns := _columns(part, prefix):
                    _check_colour(part, label)
                    return part, columns
    names = ", ".join(list(parts[0].channels)[:8]) if parts else ""
    raise ClipError(f"{label} has no red, green and blue, only {names or 'nothing'}; choose a colour picture")


def _columns(part: Part, prefix: str) -> list[int]:
    place = part.channels
    for letters in ("RGB", "Y"):
        wanted = [f"{prefix}{letter}" for letter in letters]
        if all(name in place for name in wanted) and f"{prefix}RY" not in place:
            alpha = [place[f"{prefix}A"]] if f"{prefix}A" in place else []
            return [place[name] for name in wanted] + alpha
    return []


def _layers(part: Part) -> list[str]:
    return [name[:-1] for name in part.channels if name.endswith(".R")]


def _check_colour(part: Part, label: str) -> None:
    if "CMYK" in (part.text("jpeg:ColorSpace"), part.text("tiff:ColorSpace")):
        raise ClipError(f"{label} is CMYK, made for print; save it as RGB")


def _is_straight(part: Part) -> bool:
    is_said = part.text("layerflow:alphaMode") == "straight"
    return is_said or bool(part.spec.get_int_attribute("oiio:UnassociatedAlpha", 0))
