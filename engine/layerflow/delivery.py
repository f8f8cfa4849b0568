"""Where a shot's frames go, and how they are written and looked at."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from layerflow import exr, preview, timecode
from layerflow.errors import OutputError
from layerflow.exr import AlphaMode
from layerflow.files import FramePattern, check_room, output_errors, prepare_output
from layerflow.layers import LayerStack, PictureFormat, Pixels
from layerflow.layout import DELIVERED
from layerflow.window import Window

BYTES_PER_CHANNEL = 2


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """The files of one shot."""

    pattern: FramePattern
    frames: tuple[int, ...]
    format: PictureFormat  # of the first frame
    colorspace: str  # scene-linear
    alpha: AlphaMode
    layers: tuple[str, ...] = DELIVERED  # top first; a frame that needs it has a residual as well
    per_layer: bool  # one sequence a layer as well
    preview: bool  # a movie and a contact sheet as well
    data_windows: Mapping[int, Window] = field(default_factory=dict)  # of the frames where it is not the display window

    @cached_property
    def layer_patterns(self) -> dict[str, FramePattern]:
        """Where each layer's own sequence goes; none unless asked for."""
        return {name: self.pattern.for_layer(name) for name in self.layers} if self.per_layer else {}

    @property
    def paths(self) -> tuple[Path, ...]:
        """The layered frames."""
        return tuple(self.pattern.path(frame) for frame in self.frames)

    @property
    def layer_paths(self) -> dict[str, tuple[Path, ...]]:
        """The frames of each layer's own sequence."""
        return {
            name: tuple(pattern.path(frame) for frame in self.frames) for name, pattern in self.layer_patterns.items()
        }

    @property
    def preview_paths(self) -> tuple[Path, ...]:
        """The movie and the contact sheet; none unless asked for."""
        endings = ("preview.mp4", "contact-sheet.png") if self.preview else ()
        return tuple(self.pattern.folder / f"{self.pattern.stem}.{ending}" for ending in endings)

    def files_of(self, frame: int) -> list[Path]:
        """Every file that frame `frame` becomes."""
        return [pattern.path(frame) for pattern in (*self.layer_patterns.values(), self.pattern)]

    def prepare(self, *, sources: tuple[Path, ...], may_exist: bool) -> None:
        """Makes the folder and proves that the frames can be written there, and not over `sources`. OutputError."""
        paths = [*(path for frame in self.frames for path in self.files_of(frame)), *self.preview_paths]
        size = self._bytes_of(self.frames)
        prepare_output(paths, num_bytes=size, sources=sources, may_exist=may_exist, remedy="pass --overwrite, --resume")

    def check_room(self, frames: Collection[int]) -> None:
        """Raises OutputError unless the disk has room for those of `frames` that are not there yet."""
        with suppress(OutputError):  # most of the time there is room for all of them, and none has to be looked for
            return check_room(self.pattern.folder, len(frames) * self._frame_bytes)
        check_room(self.pattern.folder, self._bytes_of(frames), what="the rest of the shot")

    @property
    def num_bytes(self) -> int:
        """The size of all files of all frames at most, as if nothing could be compressed; previews left out."""
        return len(self.frames) * self._frame_bytes

    def _bytes_of(self, frames: Collection[int]) -> int:
        """What `frames` take at most, besides those that only replace what is there."""
        with output_errors(self.pattern.path(self.frames[0])):
            new = [frame for frame in frames if not all(path.exists() for path in self.files_of(frame))]
        return len(new) * self._frame_bytes

    @property
    def _frame_bytes(self) -> int:
        """The size of all files of one frame, as if nothing could be compressed."""
        layers = 4 * len(self.layers)
        channels = layers - 1 + (layers if self.per_layer else 0)  # a background has no alpha among its layers
        return math.prod(self.format.working_window[2:]) * channels * BYTES_PER_CHANNEL

    def write(self, frame: int, layers: Mapping[str, Pixels], header: Mapping[str, str]) -> tuple[str, ...]:
        """Writes one frame of `layers` `[H, W, 3 | 4]`; a sentence for each repair its pixels needed. OutputError."""
        stack = LayerStack(
            layers={name: np.asarray(pixels[None], np.float32) for name, pixels in layers.items()},
            frames=(frame,),
            format=self._format_at(frame),
            colorspace=self.colorspace,
        )
        for name, pattern in self.layer_patterns.items():
            exr.write_layer_frame(pattern.path(frame), stack, 0, name, header=header, alpha=self.alpha)
        return exr.write_frame(self.pattern.path(frame), stack, 0, header=header, alpha=self.alpha)

    def write_preview(self) -> tuple[Path, Path]:
        """A movie and a contact sheet of the frames on disk, read back one at a time. Raises OutputError."""
        movie, sheet = self.preview_paths
        preview.write_movie(movie, self._stacks(self.frames), self.format.fps)
        preview.write_contact_sheet(sheet, self._stacks(preview.pick_frames(self.frames)))
        return movie, sheet

    def _format_at(self, frame: int) -> PictureFormat:
        start = self.format.timecode
        ahead = frame - self.frames[0]
        return replace(
            self.format,
            data_window=self.data_windows.get(frame),
            timecode=start and timecode.advance(start, ahead, self.format.fps),
        )

    def _stacks(self, frames: tuple[int, ...]) -> Iterator[LayerStack]:
        return (exr.read_stack([self.pattern.path(frame)]) for frame in frames)
