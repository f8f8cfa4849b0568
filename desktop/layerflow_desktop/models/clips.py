"""Clips: what a path leads to, opened."""

from __future__ import annotations

from typing import Protocol

from layerflow_desktop.models.picture import Clip


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

    `colorspace` is that of the files where they do not say it, or say it wrongly. Raises ClipError.
    """
    raise NotImplementedError
