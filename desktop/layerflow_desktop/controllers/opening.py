"""What was dropped on the window, chosen, or given on the command line: a project, layers or a plate."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from layerflow.wire import checks
from layerflow_desktop.models.clips import open_clip
from layerflow_desktop.models.layered_clip import LayeredClip
from layerflow_desktop.models.opening import File, Files, find
from layerflow_desktop.models.picture import ClipError
from layerflow_desktop.models.project_file import SUFFIX

Kind = Literal["project", "layers", "plate"]


@dataclass(frozen=True)
class Opened:
    """What was given, and the text that means it: to the app and to the engine the same files."""

    kind: Kind
    text: str  # a whole path, or a pattern with ####


def kind_of(paths: Sequence[str]) -> Opened:
    """What the local paths are. A frame of several stands for its sequence, and several of one for it too.

    Looks into folders and reads a header, so not for the interface thread. Raises ClipError for what is of no use.
    """
    given = [_whole(path) for path in paths]
    if not given:
        raise ClipError("nothing was given; choose a project, frames or a movie")
    if any(_is_project(path) for path in given):
        return _project(given)
    files = _one_of(given)
    listed = files.listed()
    if not listed:
        raise ClipError(f"no file matches {files.folder / files.name}; check the name and the folder")
    text = _text_of(given[0], files, listed)
    _check_first(next(iter(listed.values())))
    return Opened("layers" if isinstance(open_clip(text), LayeredClip) else "plate", text)


def _whole(path: str) -> Path:
    try:
        checks.check_local_path("file", path)
    except ValueError as error:
        raise ClipError(str(error)) from error
    return Path(path).absolute()


def _is_project(path: Path) -> bool:
    """Whether it is a project, or what was kept of one before it was saved anew."""
    return path.name.lower().removesuffix("~").endswith(SUFFIX) and not os.path.isdir(path)  # noqa: PTH112 - never raises


def _project(given: Sequence[Path]) -> Opened:
    if len(given) > 1:
        raise ClipError(f"{given[0].name} and {given[1].name} cannot be opened at once; choose one project")
    if not os.path.isfile(given[0]):  # noqa: PTH113 - never raises
        raise ClipError(f"there is no file {given[0]}; check the path")
    return Opened("project", str(given[0]))


def _one_of(given: Sequence[Path]) -> Files:
    """The files that all paths mean."""
    found = list(dict.fromkeys(find(str(path)) for path in given))
    if len(found) > 1:
        raise ClipError(f"{found[0].name} and {found[1].name} cannot be opened at once; choose one of them")
    return found[0]


def _text_of(given: Path, files: Files, listed: dict[int, File]) -> str:
    """A path or pattern that means `listed` to the engine, which takes the path of a frame for that frame alone."""
    only = next(iter(listed.values())).path
    if not os.path.lexists(given):  # a pattern already
        return str(given)
    if len(listed) == 1:
        return str(only)
    width = min(len(file.path.name) for file in listed.values()) - len(files.prefix) - len(files.suffix)
    for text in (str(files.folder / f"{files.prefix}{'#' * width}{files.suffix}"), str(files.folder)):
        with contextlib.suppress(ClipError):  # of a path with a # or %d of its own, or a folder that holds more
            if find(text).listed() == listed:
                return text
    raise ClipError(f"no pattern can name the sequence of {only.name}, for #, %d or digits in its name; rename it")


def _check_first(file: File) -> None:
    if not os.access(file.path, os.R_OK):
        raise ClipError(f"there is no permission to read {file.path}; ask for it, or choose another file")
    if file.stamp[1] == 0:
        raise ClipError(f"{file.path.name} is empty (0 bytes); render or copy it again")
