"""Pictures in: stills, folders of frames, movies and animations, as 8-bit straight sRGB, one frame at a time.

Everything that a plate may be is read as a plate is, so light above white goes through the same curve as when a model
sees it; WebP, GIF and animated PNG are read by Pillow.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from layerflow.data.light import Pixels
from layerflow.errors import PlateError
from layerflow.plate import Plate, open_plate
from layerflow.tone import tone_of
from layerflow.window import reframe
from layerflow.wire.containers import IMAGE_SUFFIXES, MOVIE_SUFFIXES

ANIMATION_SUFFIXES = (".webp", ".gif", ".apng")
STILL_SUFFIXES = (*IMAGE_SUFFIXES, *ANIMATION_SUFFIXES)
SUFFIXES = (*STILL_SUFFIXES, *MOVIE_SUFFIXES)
KINDS = "PNG, WebP, TIFF, EXR, JPEG or DPX pictures, folders of frames, or MOV, MP4, MKV or MXF movies"


@dataclass(frozen=True, kw_only=True)
class Footage:
    """A checked still (one frame) or clip. Frames count from 0 and are read when asked for."""

    path: Path
    num_frames: int
    fps: Fraction | None  # None for a still, and where nothing says it
    has_alpha: bool
    height: int
    width: int
    _read: Callable[[int], Pixels] = field(repr=False)

    def read(self, frame: int) -> Pixels:
        """Frame `frame`, uint8 [H, W, 3 | 4], straight, sRGB-encoded. Raises PlateError."""
        return self._read(frame)


def open_footage(path: Path, *, raw: bool = False) -> Footage:
    """The footage at `path`, a file or a folder with one sequence; `raw` numbers are a matte's, no colours.

    Raises PlateError.
    """
    if path.suffix.lower() in ANIMATION_SUFFIXES or (path.suffix.lower() == ".png" and _is_animated(path)):
        return _animation(path)
    plate = open_plate(str(path))
    read = _raw(plate) if raw else _colours(plate)
    moves = len(plate.frames) > 1
    return Footage(
        path=path,
        num_frames=len(plate.frames),
        fps=plate.format.fps if moves else None,
        has_alpha=plate.has_alpha,
        height=plate.format.height,
        width=plate.format.width,
        _read=read,
    )


def find_footage(folder: Path, *, stills: bool = False) -> list[Path]:
    """Every still, movie and folder of frames below `folder`, sorted; raises PlateError when there is none.

    Pictures directly in `folder` are stills. A folder below it whose pictures are one numbered sequence is a clip, and
    other folders are looked into. With `stills` every picture is one.
    """
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise PlateError(f"there is no folder {folder}; check the spelling")
    found = list(_below(folder, stills=stills, top=True))
    if not found:
        raise PlateError(f"{folder} holds no pictures; give a folder with {KINDS}")
    return sorted(found)


def pick_times(num_frames: int, fps: Fraction | None, wanted: Fraction | None, max_frames: int) -> list[int]:
    """The frames to keep of so many at `fps`, so that they run at `wanted`, at most `max_frames` from the first on.

    A slower clip than wanted is kept as it is.
    """
    step = max(Fraction(1), fps / wanted) if fps and wanted else Fraction(1)
    times = (int(number * step) for number in itertools.count())
    return list(itertools.islice(itertools.takewhile(lambda time: time < num_frames, times), max_frames))


def _below(folder: Path, *, stills: bool, top: bool) -> Iterator[Path]:
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    pictures = [path for path in entries if path.suffix.lower() in STILL_SUFFIXES and path.is_file()]
    if not top and not stills and _is_sequence(pictures):
        yield folder
    else:
        yield from pictures
    yield from (path for path in entries if path.suffix.lower() in MOVIE_SUFFIXES and path.is_file())
    for path in entries:
        if path.is_dir():
            yield from _below(path, stills=stills, top=False)


def _is_sequence(pictures: Sequence[Path]) -> bool:
    """Whether these are two frames or more of one picture sequence: one name, numbers without a hole."""
    stems = [path.stem.rstrip("0123456789") for path in pictures]
    digits = [path.stem[len(stem) :] for path, stem in zip(pictures, stems, strict=True)]
    if len(pictures) < 2 or len({*zip(stems, [path.suffix for path in pictures], strict=True)}) > 1 or "" in digits:
        return False
    numbers = sorted(map(int, digits))
    return numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def _colours(plate: Plate) -> Callable[[int], Pixels]:
    tone = tone_of(plate.colorspace)

    def read(frame: int) -> Pixels:
        shown = tone.to_display(_whole(plate, frame), plate.colorspace)
        return np.rint(shown * 255).astype(np.uint8)

    return read


def _raw(plate: Plate) -> Callable[[int], Pixels]:
    return lambda frame: np.rint(_whole(plate, frame).clip(0.0, 1.0) * 255).astype(np.uint8)


def _whole(plate: Plate, frame: int) -> Any:
    """Frame `frame` from 0, its display window."""
    pixels = plate.read(plate.frames[frame])
    return reframe(pixels, plate.format.working_window, plate.format.display_window)


def _animation(path: Path) -> Footage:
    with _opened(path) as image:
        num_frames = int(getattr(image, "n_frames", 1))
        width, height = image.size
        has_alpha = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info or image.format == "GIF"
        duration_ms = float(image.info.get("duration") or 0)
        if num_frames > 1 and not duration_ms:
            image.seek(1)  # Pillow says how long a frame lasts once it is loaded
            image.load()
            duration_ms = float(image.info.get("duration") or 0)
    rate = Fraction(1000) / Fraction(duration_ms).limit_denominator(1000) if duration_ms > 0 else None

    def read(frame: int) -> Pixels:
        with _opened(path) as picture:
            picture.seek(frame)
            return np.array(picture.convert("RGBA" if has_alpha else "RGB"), np.uint8)

    return Footage(
        path=path,
        num_frames=num_frames,
        fps=rate if num_frames > 1 else None,
        has_alpha=has_alpha,
        height=height,
        width=width,
        _read=read,
    )


def _is_animated(path: Path) -> bool:
    """Whether a PNG says so: the chunk acTL stands before the picture's data. W3C PNG, third edition, 11.3.4."""
    try:
        with path.open("rb") as file:
            start = file.read(4096)
    except OSError as error:
        raise PlateError(f"{path} cannot be read ({error.strerror}); check the path and its permissions") from error
    return b"acTL" in start.partition(b"IDAT")[0]


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The picture at `path`, open in Pillow. Raises PlateError for what it cannot read, whenever that shows."""
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise PlateError(f"reading {path.name} needs Pillow; pip install 'layerflow[train]'") from error
    try:
        with Image.open(path) as image:
            yield image
    except (OSError, SyntaxError, EOFError, ValueError, Image.DecompressionBombError) as error:
        raise PlateError(f"{path} is damaged or no picture ({error}); save or copy it again") from error
