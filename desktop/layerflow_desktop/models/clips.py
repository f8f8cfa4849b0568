"""Clips: what a path leads to, opened."""

from __future__ import annotations

from typing import Protocol

from layerflow_desktop.models import color, color_tags
from layerflow_desktop.models.color import ColorError
from layerflow_desktop.models.image_clip import ImageClip, plate_part
from layerflow_desktop.models.image_file import read_parts
from layerflow_desktop.models.layered_clip import LayeredClip, is_layered
from layerflow_desktop.models.movie_clip import MovieClip
from layerflow_desktop.models.opening import File, Files, find
from layerflow_desktop.models.picture import Clip, ClipError


class OpenedClip(Clip, Protocol):
    """A clip of files."""

    @property
    def text(self) -> str: ...  # what it was opened by
    @property
    def source_colorspace(self) -> str: ...  # of the files
    def header(self, frame: int) -> dict[str, str]: ...  # attributes as text, "layerflow:seed" and others
    def refreshed(self) -> OpenedClip: ...  # the same with the frames there are now; itself where nothing is new


def open_clip(text: str, colorspace: str = "", target: str = "ACEScg") -> OpenedClip:
    """The clip at `text`: a pattern (%04d, ####), a folder, a file of a sequence, an image or a movie.

    `colorspace` is that of the files where they do not say it, or say it wrongly; layers are read into `target`.
    Reads one header and no pixels, but the first frame of a movie. Raises ClipError.
    """
    files = find(text)
    listed = files.listed()
    if not listed:
        raise ClipError(f"no file matches {files.folder / files.name}; check the name, or wait for its frames")
    try:
        wished = color.check_name(colorspace) if colorspace else ""
        return _opened(text, files, listed, wished, color.check_name(target))
    except ColorError as error:
        raise ClipError(str(error)) from error


def _opened(text: str, files: Files, listed: dict[int, File], wished: str, target: str) -> OpenedClip:
    first, file = next(iter(listed.items()))
    if files.is_movie:
        return MovieClip(text, files, file, wished, target)
    label = f"frame {first} ({file.path.name})"
    parts = read_parts(file.path, label)
    if parts and is_layered(parts[0]):
        return LayeredClip(text, files, listed, parts, (wished or color_tags.of_layered(parts[0].spec), target))
    part, _ = plate_part(parts, label)
    return ImageClip(text, files, listed, parts, (wished or color_tags.of_image(part.spec, part.kind), target))
