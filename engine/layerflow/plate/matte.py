"""Mattes in: one channel of a sequence, a still or a movie, by the frame numbers of a plate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from layerflow.errors import PlateError
from layerflow.layers import Pixels
from layerflow.plate import image, movie
from layerflow.plate.channels import matte_channel
from layerflow.plate.find import Found, choose, find
from layerflow.plate.image import Image
from layerflow.window import Window, reframe

_Read = Callable[[int, Window], Pixels]  # frame, and the window to see -> [h, w] in [0, 1]


@dataclass(frozen=True, kw_only=True)
class MatteSequence:
    """A checked matte: numbers as its files hold them, never taken for colours."""

    name: str
    display: Window  # of every frame
    files: tuple[Path, ...]
    _read: _Read = field(repr=False)
    _reopen: Callable[[], _Read] = field(repr=False)

    def read(self, frame: int, area: Window) -> Pixels:
        """The window `area` of `frame`, [h, w] float32 in [0, 1]; 0 where the file has none. Raises PlateError."""
        return self._read(frame, area)

    def reopened(self) -> MatteSequence:
        """The same matte for another thread. Raises PlateError."""
        return replace(self, _read=self._reopen())


def open_matte(what: str, source: str, channel: str | None, frames: tuple[int, ...]) -> MatteSequence:
    """The matte at `source`, called `what` in sentences, for the plate's `frames`, every header checked.

    One file holds for all frames. A movie counts from 1. Raises PlateError.
    """
    with _called(what):
        found = find(source)
    if found.movie is not None:
        return _of_movie(what, found, channel, frames)
    still = Path(source).is_file()
    files = dict.fromkeys(frames, *found.files.values()) if still else found.files
    chosen = choose(f"the {what} {found.name}", files, frames[0], frames[-1])
    return _of_images(what, found.name, {frame: files[frame] for frame in chosen}, channel)


@contextmanager
def _called(what: str) -> Iterator[None]:
    try:
        yield
    except PlateError as error:
        raise PlateError(f"the {what} cannot be read: {error}") from error


def _of_images(what: str, name: str, files: Mapping[int, Path], channel: str | None) -> MatteSequence:
    labels = {path: f"the {what} of frame {frame} ({path.name})" for frame, path in reversed(list(files.items()))}
    inspected = {path: image.inspect_matte(path, label, channel) for path, label in labels.items()}
    images = {frame: inspected[path] for frame, path in files.items()}
    first = next(iter(images.values()))
    _check_alike(list(images.values()))

    def read(frame: int, area: Window) -> Pixels:
        pixels, _ = image.read(images[frame], area)
        return pixels[..., 0].clip(0.0, 1.0)

    return MatteSequence(
        name=name, display=first.display, files=tuple(dict.fromkeys(files.values())), _read=read, _reopen=lambda: read
    )


def _check_alike(images: list[Image]) -> None:
    first = images[0]
    for other in images[1:]:
        if other.display[2:] != first.display[2:]:
            size, expected = (f"{each.display[2]}x{each.display[3]}" for each in (other, first))
            raise PlateError(f"{other.label} is {size} but {first.label} is {expected}; make all frames one size")


def _of_movie(what: str, found: Found, channel: str | None, frames: tuple[int, ...]) -> MatteSequence:
    assert found.movie is not None
    with _called(what):
        reader = movie.MovieReader(found.movie)
    count = reader.num_frames
    if frames[0] < 1 or frames[-1] > count:
        raise PlateError(
            f"the {what} {found.name} has frames 1-{count}, as a movie counts, and the plate {frames[0]}-{frames[-1]}; "
            "give a sequence numbered as the plate is"
        )
    names = "RGBA" if reader.has_alpha else "RGB"
    column = matte_channel(names, channel)
    if column is None:
        raise PlateError(f"the {what} {found.name} has no channel {channel}, only {', '.join(names)}; name one of them")
    form = reader.format(1, None)

    def reading(opened: movie.MovieReader) -> _Read:
        return lambda frame, area: reframe(opened.read(frame)[..., column, None], form.display_window, area)[..., 0]

    return MatteSequence(
        name=found.name,
        display=form.display_window,
        files=(found.movie,),
        _read=reading(reader),
        _reopen=lambda: reading(reader.reopened()),
    )
