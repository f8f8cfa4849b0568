"""Which files a path means: a pattern, a folder with one sequence, a file of a sequence, an image, a movie."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from layerflow.wire import checks
from layerflow.wire.containers import IMAGE_SUFFIXES, MOVIE_SUFFIXES
from layerflow_desktop.models.picture import ClipError

READABLE = "EXR, DPX, TIFF, PNG or JPEG frames, or a MOV, MP4, MKV or MXF movie"

_NUMBERED = re.compile(r"(.*?)(\d{1,12})(\.[^.]+)", re.DOTALL)


@dataclass(frozen=True)
class File:
    """A file as it was when it was looked at."""

    path: Path
    stamp: tuple[int, int]  # when it was changed, and its size


@dataclass(frozen=True)
class Files:
    """The name of a sequence, an image or a movie."""

    folder: Path
    prefix: str
    suffix: str
    padding: int | None = 0  # digits of a frame number; 0: any; None: it has none

    @property
    def name(self) -> str:
        """As it is shown."""
        return self.prefix + ("" if self.padding is None else "#" * (self.padding or 4)) + self.suffix

    @property
    def is_movie(self) -> bool:
        """Whether it is a movie."""
        return self.suffix.lower() in MOVIE_SUFFIXES

    def listed(self) -> dict[int, File]:
        """What is there now, by frame; a file without a number is frame 1. Raises ClipError."""
        found: dict[int, File] = {}
        for entry in _entries(self.folder):
            frame = self._frame_of(entry.name)
            if frame is None or not entry.is_file():
                continue
            if frame in found:
                names = f"{found[frame].path.name} and {entry.name}"
                raise ClipError(f"{names} are both frame {frame}; move one of them away")
            found[frame] = _file(self.folder / entry.name)
        return dict(sorted(found.items()))

    def _frame_of(self, name: str) -> int | None:
        if self.padding is None:
            return 1 if name == self.prefix + self.suffix else None
        digits = name[len(self.prefix) : len(name) - len(self.suffix)]
        fits = name.startswith(self.prefix) and name.endswith(self.suffix) and digits.isascii() and digits.isdigit()
        if not fits or len(digits) > checks.MAX_FRAME_DIGITS or self.padding not in (0, len(digits)):
            return None
        return int(digits)


def find(text: str) -> Files:
    """What `text` means. Raises ClipError."""
    path = Path(text)
    try:
        if path.is_dir():
            return _in_folder(path)
        if path.is_file():
            return _of_file(path)
    except (OSError, ValueError) as error:
        raise ClipError(f"{text} cannot be looked up ({error}); check the path and its permissions") from error
    if checks.has_frame_field(path.name):
        return _of_pattern(path)
    raise ClipError(f"there is no file or folder {text}; check the path")


def _of_pattern(path: Path) -> Files:
    try:
        start, end, padding = checks.find_frame_field(str(path.parent), path.name)
    except ValueError as error:
        raise ClipError(str(error)) from error
    prefix, suffix = path.name[:start], path.name[end:]
    _check_kind(path.name, suffix, IMAGE_SUFFIXES)
    touches = prefix[-1:].isdigit() or suffix[:1].isdigit()
    return Files(path.parent, prefix, suffix, padding if touches else 0)


def _of_file(path: Path) -> Files:
    _check_kind(path.name, path.suffix, IMAGE_SUFFIXES + MOVIE_SUFFIXES)
    numbered = _NUMBERED.fullmatch(path.name)
    if numbered and path.suffix.lower() in IMAGE_SUFFIXES:
        return Files(path.parent, numbered.group(1), numbered.group(3))
    return Files(path.parent, path.stem, path.suffix, None)


def _in_folder(folder: Path) -> Files:
    names = sorted(entry.name for entry in _entries(folder) if not entry.name.startswith("."))
    kinds = {name: Path(name).suffix.lower() for name in names}
    found = {_of_file(folder / name): None for name in names if kinds[name] in IMAGE_SUFFIXES + MOVIE_SUFFIXES}
    sequences = [files for files in found if files.padding is not None]
    chosen = sequences or [files for files in found if not files.is_movie] or list(found)
    if len(chosen) > 1:
        listed = ", ".join(files.name for files in chosen[:4]) + (" and more" if len(chosen) > 4 else "")
        raise ClipError(f"{folder} holds more than one: {listed}; choose one of its files")
    if not chosen:
        raise ClipError(f"{folder} holds nothing to look at; choose a folder with {READABLE}")
    return chosen[0]


def _check_kind(name: str, suffix: str, suffixes: tuple[str, ...]) -> None:
    if not suffix.lower().endswith(suffixes):
        raise ClipError(f"{name} is not a kind of file that can be read; choose {READABLE}")


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError as error:
        raise ClipError(f"the folder {folder} cannot be read ({error.strerror}); check the path") from error


def _file(path: Path) -> File:
    try:
        found = path.stat()
    except FileNotFoundError:  # replaced this very moment
        return File(path, (0, 0))
    return File(path, (found.st_mtime_ns, found.st_size))
