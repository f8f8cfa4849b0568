"""A clip of numbered image files; what kind of pictures they hold is for those who build on it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self

from layerflow_desktop.models.image_file import Part, read_parts
from layerflow_desktop.models.opening import File, Files
from layerflow_desktop.models.picture import ClipError, Half, Picture


class FileClip(ABC):
    """Frames in files of their own. Equal clips have the same pictures, as far as each of them has the frame."""

    layers: tuple[str, ...] = ()

    def __init__(
        self, text: str, files: Files, listed: Mapping[int, File], parts: list[Part], spaces: tuple[str, str]
    ) -> None:
        """`parts` are those of the first file; `spaces` are that of the files and the one that is read into."""
        self.text, self.name = text, files.name
        self.source_colorspace, self.colorspace = spaces
        self.frames = tuple(listed)
        self.fps, self.pixel_aspect = parts[0].fps, parts[0].pixel_aspect
        self.width, self.height = parts[0].display[2:]
        self._files, self._listed = files, dict(listed)
        self._generation = 0  # rises when frames are written anew

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def _identity(self) -> tuple[Any, ...]:
        return self._files, self.source_colorspace, self.colorspace, self.layers, self._generation

    def read(self, frame: int) -> Picture:
        """The picture of a frame. Raises ClipError."""
        parts = self._parts(frame)
        size = parts[0].display[2:]
        if size != (self.width, self.height):
            raise ClipError(
                f"{self._label(frame)} is {size[0]}x{size[1]} but frame {self.frames[0]} is "
                f"{self.width}x{self.height}; make all frames one size"
            )
        return Picture(self._read_layers(frame, parts))

    def header(self, frame: int) -> dict[str, str]:
        """What the file of a frame says of it. Raises ClipError."""
        texts: dict[str, str] = {}
        for part in reversed(self._parts(frame)):
            texts |= part.texts()
        return texts

    def refreshed(self) -> Self:
        """The same with the frames there are now; itself where nothing is new. Raises ClipError where none is left."""
        listed = self._files.listed()
        if listed == self._listed:
            return self
        if not listed:
            raise ClipError(f"no frame of {self.name} is there any more; render it again")
        first = next(iter(listed))
        parts = read_parts(listed[first].path, f"frame {first} ({listed[first].path.name})")
        newer = type(self)(self.text, self._files, listed, parts, (self.source_colorspace, self.colorspace))
        has_changed = any(listed.get(frame) != file for frame, file in self._listed.items())
        newer._generation = self._generation + has_changed
        return newer

    @abstractmethod
    def _read_layers(self, frame: int, parts: list[Part]) -> dict[str, Half]:
        """The layers of a frame, as they are shown."""

    def _parts(self, frame: int) -> list[Part]:
        if frame not in self._listed:
            raise ClipError(f"frame {frame} is missing from {self.name}; render it or choose another frame")
        return read_parts(self._listed[frame].path, self._label(frame))

    def _label(self, frame: int) -> str:
        return f"frame {frame} ({self._listed[frame].path.name})"
