"""Which files a plate's path means: a pattern, a folder with one sequence, one still, or a movie."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from layerflow.errors import PlateError
from layerflow.files import FramePattern, refused_as
from layerflow.wire import checks
from layerflow.wire.containers import IMAGE_SUFFIXES, MOVIE_SUFFIXES

READABLE = "EXR, DPX, TIFF, PNG or JPEG frames, or a MOV, MP4, MKV or MXF movie"

_NUMBERED = re.compile(r"(.*?)(\d{1,12})(\.[^.]+)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a path leads to: either numbered image files, or one movie."""

    name: str  # for sentences
    files: Mapping[int, Path]  # frame number -> image; empty for a movie
    movie: Path | None = None
    notes: tuple[str, ...] = ()


def find(source: str) -> Found:
    """The files that `source` means, not yet opened; raises PlateError."""
    with refused_as(PlateError):
        checks.check_local_path("plate", source)
    path = Path(source)
    try:
        if path.is_dir():
            return _in_folder(path)
        if not path.exists() and checks.has_frame_field(path.name):
            return _by_pattern(FramePattern.parse(source, error=PlateError))
        if not path.exists():
            return _refuse_absent(path)
    except OSError as error:
        raise PlateError(
            f"{source} cannot be looked up ({error.strerror}); check the path and its permissions"
        ) from error
    return _one_file(path)


def ranges(frames: Iterable[int]) -> str:
    """Frame numbers as an artist writes them: `1004-1006, 1010`."""
    spans: list[list[int]] = []
    for frame in sorted(frames):
        if spans and frame == spans[-1][1] + 1:
            spans[-1][1] = frame
        else:
            spans.append([frame, frame])
    return _join(spans)


def choose(name: str, available: Iterable[int], first: int | None, last: int | None) -> tuple[int, ...]:
    """The frames from `first` to `last`, both included; raises PlateError when one is outside or missing."""
    present = sorted(available)
    first = present[0] if first is None else first
    last = present[-1] if last is None else last
    if first > last:
        raise PlateError(f"the first frame {first} is after the last frame {last}; swap them")
    if first < present[0] or last > present[-1]:
        raise PlateError(
            f"frames {first}-{last} are asked for but {name} has {present[0]}-{present[-1]}; choose within that"
        )
    inside = [frame for frame in present if first <= frame <= last]
    edges = [first - 1, *inside, last + 1]
    holes = [[low + 1, high - 1] for low, high in itertools.pairwise(edges) if high - low > 1]
    if holes:
        raise PlateError(f"frames {_join(holes)} are missing from {name}; render them or choose a range without them")
    return tuple(inside)


def _join(spans: Iterable[list[int]]) -> str:
    words = [str(low) if low == high else f"{low}-{high}" for low, high in spans]
    return ", ".join(words[:20]) + (f" and {len(words) - 20} more" if len(words) > 20 else "")


def _refuse_absent(path: Path) -> Found:
    if path.is_symlink():
        raise PlateError(f"{path} is a link to a place that is not there; repair the link")
    parent = path.parent
    hint = "check the spelling" if parent.is_dir() else f"the folder {parent} is not there either"
    raise PlateError(f"there is no file or folder {path}; {hint}")


def _one_file(path: Path) -> Found:
    suffix = path.suffix.lower()
    if suffix in MOVIE_SUFFIXES:
        if not path.is_file():  # to open a pipe is to wait for somebody to write into it
            raise PlateError(f"{path.name} is not a regular file; put the movie there")
        return Found(name=path.name, files={}, movie=path)
    if suffix not in IMAGE_SUFFIXES:
        raise PlateError(f"{path.name} is not a kind of file LayerFlow reads; give {READABLE}")
    numbered = _NUMBERED.fullmatch(path.name)
    frame = int(numbered.group(2)) if numbered else 1
    note = f"{path.name} alone is the plate; for its whole sequence give a pattern like name.%04d{suffix} or the folder"
    return Found(name=path.name, files={frame: path}, notes=(note,) if numbered else ())


def _by_pattern(pattern: FramePattern) -> Found:
    if not pattern.folder.is_dir():
        raise PlateError(f"the folder {pattern.folder} is not there; check the path of the plate")
    if pattern.suffix.lower() not in IMAGE_SUFFIXES:
        raise PlateError(f"{pattern} is not a kind of file LayerFlow reads; give {READABLE}")
    names = [(pattern.frame_of(path.name), path) for path in sorted(pattern.folder.iterdir())]
    matching = [(frame, path) for frame, path in names if frame is not None]
    if not matching:
        raise PlateError(f"no file matches {pattern}; check the name and the folder")
    return Found(name=str(pattern), files=_unique(matching))


def _unique(numbered: Iterable[tuple[int, Path]]) -> dict[int, Path]:
    files: dict[int, Path] = {}
    for frame, path in numbered:
        if frame in files:
            raise PlateError(f"{files[frame].name} and {path.name} are both frame {frame}; move one of them away")
        files[frame] = path
    return files


def _in_folder(folder: Path) -> Found:
    visible = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    images = [path for path in visible if path.suffix.lower() in IMAGE_SUFFIXES]
    movies = [path for path in visible if path.suffix.lower() in MOVIE_SUFFIXES]
    sequences = _sequences(images)
    if len(sequences) > 1:
        names = ", ".join(sorted(f"{name} ({ranges(dict(files))})" for name, files in sequences.items()))
        raise PlateError(f"{folder} holds more than one sequence: {names}; give the pattern of one")
    if sequences:
        name, files = sequences.popitem()
        return Found(name=name, files=_unique(files))
    alone = images or movies
    if len(alone) == 1:
        return _one_file(alone[0])
    if alone:
        raise PlateError(f"{folder} holds {len(alone)} pictures or movies without frame numbers; give the path of one")
    raise PlateError(f"{folder} holds {'no plate' if visible else 'nothing'}; give a folder with {READABLE}")


def _sequences(images: Iterable[Path]) -> dict[str, list[tuple[int, Path]]]:
    """Pattern -> its (frame, file), of every numbered image."""
    sequences: dict[str, list[tuple[int, Path]]] = {}
    for path in images:
        if numbered := _NUMBERED.fullmatch(path.name):
            prefix, digits, suffix = numbered.groups()
            sequences.setdefault(f"{prefix}####{suffix}", []).append((int(digits), path))
    return sequences
