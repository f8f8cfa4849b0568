"""Plates in: image sequences, stills and movies, checked whole before any work starts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import reduce
from itertools import chain
from pathlib import Path

from layerflow import color, window
from layerflow.errors import PlateError
from layerflow.layers import PictureFormat, Pixels, over_premultiplied, premultiply, unpremultiply
from layerflow.plate import image, movie
from layerflow.plate.find import Found, choose, find
from layerflow.plate.image import Image
from layerflow.timecode import as_fps
from layerflow.window import Window

__all__ = ["Plate", "open_plate"]

_Read = Callable[[int], tuple[Pixels, tuple[str, ...]]]  # frame -> its pixels, and sentences on what was repaired


@dataclass(frozen=True, kw_only=True)
class Plate:
    """A checked plate. Frames are read when asked for, in the plate's own colour space."""

    name: str
    frames: tuple[int, ...]  # consecutive
    format: PictureFormat
    colorspace: str
    has_alpha: bool
    data_windows: Mapping[int, Window] = field(default_factory=dict)  # of the frames where it is not the display window
    files: tuple[Path, ...]  # what it is read from, in the order of its frames
    _read: _Read = field(repr=False)
    _reopen: Callable[[], _Read] = field(repr=False)
    _header: Callable[[int], dict[str, str]] = field(repr=False)
    _notes: dict[str, None] = field(repr=False)

    @property
    def num_channels(self) -> int:
        """3, or 4 with alpha."""
        return 4 if self.has_alpha else 3

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what was assumed or repaired; grows as frames are read."""
        return tuple(self._notes)

    def read(self, frame: int) -> Pixels:
        """Frame `frame`, [H, W, 3 | 4] float32, working window, straight alpha in [0, 1], finite. Raises PlateError."""
        pixels, notes = self._read(self._checked(frame))
        self._notes.update(dict.fromkeys(notes))
        return pixels

    def reopened(self) -> Plate:
        """The same plate for another thread, to be read there while this one is read here. Raises PlateError."""
        return replace(self, _read=self._reopen(), _notes=dict(self._notes))

    def header(self, frame: int) -> dict[str, str]:
        """The metadata of frame `frame` as text."""
        return self._header(self._checked(frame))

    def _checked(self, frame: int) -> int:
        if not self.frames[0] <= frame <= self.frames[-1]:
            raise PlateError(
                f"frame {frame} is outside the plate, {self.frames[0]}-{self.frames[-1]}; choose within that"
            )
        return frame


def open_plate(
    source: str,
    *,
    first_frame: int | None = None,
    last_frame: int | None = None,
    colorspace: str | None = None,
    fps: float | None = None,
    layer: str | None = None,
) -> Plate:
    """The plate at `source`, every header checked; raises PlateError, or ColorError for an unknown `colorspace`.

    `source` is a pattern (`dog.####.exr`, `dog.%04d.exr`), a folder with one sequence, one image (a numbered one stands
    for itself alone), or a movie, whose frames count from 1. Both ends of the range are included. `layer` picks a layer
    of a layered EXR instead of its top-level colour.
    """
    rate = None if fps is None else _checked_fps(fps)
    space = None if colorspace is None else color.check_name(colorspace)
    found = find(source)
    if found.movie is not None:
        return _open_movie(found, first_frame, last_frame, space, rate)
    return _open_images(found, choose(found.name, found.files, first_frame, last_frame), space, rate, layer)


def over_each_other(plates: Sequence[Plate]) -> Plate:
    """These plates, of one picture each and top first, laid over each other; one alone is itself."""
    first, *rest = plates
    if not rest:
        return first
    reads = [plate._read for plate in plates]

    def laid(reads: Sequence[_Read]) -> _Read:
        def read(frame: int) -> tuple[Pixels, tuple[str, ...]]:
            found = [read(frame) for read in reads]
            pictures = [premultiply(pixels) if pixels.shape[-1] == 4 else pixels for pixels, _ in found]
            whole = reduce(lambda under, front: over_premultiplied(front, under), reversed(pictures))
            notes = tuple(chain.from_iterable(notes for _, notes in found))
            return (unpremultiply(whole) if whole.shape[-1] == 4 else whole), notes

        return read

    return replace(
        first,
        has_alpha=plates[-1].has_alpha,
        _read=laid(reads),
        _reopen=lambda: laid([plate._reopen() for plate in plates]),
    )


def layer_names(source: str, frame: int | None = None) -> tuple[str, ...]:
    """Names of the layers that an image of `source` (`frame`, or the first) has besides its top-level colour.

    Raises PlateError.
    """
    found = find(source)
    if found.movie is not None:
        return ()
    chosen = frame if frame is not None and frame in found.files else min(found.files)
    return image.layer_names(found.files[chosen], f"frame {chosen} ({found.files[chosen].name})")


def _checked_fps(fps: float) -> Fraction:
    if not (math.isfinite(fps) and 0.1 <= fps <= 1000):
        raise PlateError(f"fps must be between 0.1 and 1000, got {fps}; give e.g. 24 or 23.976")
    return as_fps(fps)


def _open_images(
    found: Found, frames: tuple[int, ...], space: str | None, rate: Fraction | None, layer: str | None
) -> Plate:
    images = {
        frame: image.inspect(found.files[frame], f"frame {frame} ({found.files[frame].name})", layer)
        for frame in frames
    }
    first = images[frames[0]]
    _check_alike(list(images.values()))
    notes = [*found.notes, *first.notes]
    if space is None:
        space, note = _assumed_space(first)
        notes += note
    if rate is None and first.fps is None:
        notes.append(f"{found.name} does not say its frame rate; taken as 24 frames per second")

    form = _format(found.name, images, frames[0], rate)

    def read(frame: int) -> tuple[Pixels, tuple[str, ...]]:
        pixels, repairs = image.read(images[frame], form.working_window)
        return pixels, repairs.sentences(f"frame {frame}")

    return Plate(
        name=found.name,
        frames=frames,
        format=form,
        data_windows={frame: each.data for frame, each in images.items() if each.data != each.display},
        colorspace=space,
        has_alpha=first.has_alpha,
        files=tuple(found.files[frame] for frame in frames),
        _read=read,
        _reopen=lambda: read,
        _header=lambda frame: image.header(images[frame]),
        _notes=dict.fromkeys(notes),
    )


def _check_alike(images: list[Image]) -> None:
    first = images[0]
    for other in images[1:]:
        if other.display != first.display:
            size, expected = (f"{each.display[2]}x{each.display[3]}" for each in (other, first))
            raise PlateError(f"{other.label} is {size} but {first.label} is {expected}; make all frames one size")
        if (len(other.columns), other.has_alpha) != (len(first.columns), first.has_alpha):
            raise PlateError(f"{other.label} has other channels than {first.label}; render all frames alike")
        if other.sample != first.sample:
            raise PlateError(
                f"{other.label} is {other.sample} but {first.label} is {first.sample}; render all frames alike"
            )


def _format(name: str, images: Mapping[int, Image], first_frame: int, rate: Fraction | None) -> PictureFormat:
    """That of the first frame, with the overscan of all of them."""
    first = images[first_frame]
    x, y, width, height = first.display
    working = reduce(window.union, (each.data for each in images.values()), first.display)
    window.check_area(*working[2:], f"{name}, all data windows together,")
    return PictureFormat(
        x=x,
        y=y,
        width=width,
        height=height,
        data_window=None if first.data == first.display else first.data,
        overscan=None if working == first.display else working,
        pixel_aspect=first.pixel_aspect,
        fps=rate or first.fps or Fraction(24),
        timecode=first.timecode,
    )


def _assumed_space(first: Image) -> tuple[str, list[str]]:
    """The colour space of an image nobody named one for: its header's, else by the kind of its samples."""
    notes = [f"{first.label} {first.space_note}"] if first.space_note else []
    if first.colorspace is not None:
        return first.colorspace, notes
    if first.sample.startswith("uint"):
        is_log = f"{first.label} is taken as sRGB; if it is log, as DPX often is, say so with --colorspace"
        return color.display_space(), notes or ([is_log] if first.path.suffix.lower() == ".dpx" else [])
    space = color.scene_linear()
    return space, [f"{first.label} does not say its colour space; taken as {space}"]


def _open_movie(
    found: Found, first_frame: int | None, last_frame: int | None, space: str | None, rate: Fraction | None
) -> Plate:
    assert found.movie is not None
    reader = movie.MovieReader(found.movie)
    frames = choose(found.name, range(1, reader.num_frames + 1), first_frame, last_frame)
    own, note = reader.colorspace()
    notes = [*reader.notes, *([f"{found.name} {note}"] if note and space is None else [])]
    return Plate(
        name=found.name,
        frames=frames,
        format=reader.format(frames[0], rate),
        colorspace=space or own,
        has_alpha=reader.has_alpha,
        files=(found.movie,),
        _read=_reading(reader),
        _reopen=lambda: _reading(reader.reopened()),
        _header=lambda _: reader.header(),
        _notes=dict.fromkeys(notes),
    )


def _reading(reader: movie.MovieReader) -> _Read:
    return lambda frame: (reader.read(frame), ())
